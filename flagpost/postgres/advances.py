"""Moving positions on behind the messages of a batch, if all of them are where it began."""

from collections import Counter
from collections.abc import Sequence

from sqlalchemy import (
    CTE,
    ColumnElement,
    FromClause,
    Integer,
    Update,
    and_,
    column,
    func,
    select,
    text,
    update,
)
from sqlalchemy.orm import InstrumentedAttribute

from flagpost.core.effects import Advance, Label
from flagpost.postgres.positions import COUNTS, KEY, is_of, locked
from flagpost.postgres.recordset import recordset
from flagpost.postgres.tables import JournalSegment, StreamPosition
from flagpost.postgres.times import to_datetime

_moved = recordset(
    "moved",
    *KEY,
    StreamPosition.epoch,
    JournalSegment.start_offset,
    StreamPosition.next_offset,
    StreamPosition.event_time,
    *COUNTS,
    extra=[column("n_labels", Integer)],
)
MINE = locked(
    _moved,
    StreamPosition.epoch == _moved.c.epoch,
    StreamPosition.next_offset == _moved.c.start_offset,
)
"""What is to be moved on and may be: it is ours and where we left it."""

_counted = select(MINE, func.count().over().label("n_mine")).subquery()
ALL_MINE = (
    select(_counted)
    .where(_counted.c.n_mine == select(func.count()).select_from(_moved).scalar_subquery())
    .cte("all_mine")
)
"""The same if it is all that is to be moved on, else nothing."""


def same_partition(one: FromClause, other: FromClause) -> ColumnElement[bool]:
    """Say whether rows of two things are of the same partition."""
    return and_(one.c.topic == other.c.topic, one.c.partition == other.c.partition)


def moving(new_labels: CTE) -> CTE:
    """Return `ALL_MINE`, and `n_known`: how many labels of each partition are not new."""
    new = select(*new_labels.c, func.count().label("n_new")).group_by(*new_labels.c).subquery()
    n_known = ALL_MINE.c.n_labels - func.coalesce(new.c.n_new, text("0"))
    joined = select(ALL_MINE, n_known.label("n_known")).outerjoin(
        new, same_partition(new, ALL_MINE)
    )
    return joined.cte("moving")


def move_on(moving: CTE) -> Update:
    """Move positions on, and count messages; labels that are known count as duplicates."""
    added: dict[InstrumentedAttribute[int], ColumnElement[int]] = {
        count: moving.c[count.key] for count in COUNTS
    }
    added[StreamPosition.n_clean] -= moving.c.n_known
    added[StreamPosition.n_duplicate] += moving.c.n_known
    latest = func.greatest(StreamPosition.event_time, moving.c.event_time)
    return (
        update(StreamPosition)
        .where(is_of(moving))
        .values(
            {
                StreamPosition.next_offset: moving.c.next_offset,
                StreamPosition.event_time: latest,
                StreamPosition.updated_at: func.now(),
                **{count: count + n for count, n in added.items()},
            }
        )
    )


def parameters(
    group: str, advances: Sequence[Advance], labels: Sequence[Label]
) -> dict[str, object]:
    """Return what `MINE` and `ALL_MINE` ask for."""
    n_labels = Counter(label.partition for label in labels)
    moved = [_as_row(advance, n_labels[advance.partition]) for advance in advances]
    return {"own_group": group, "moved": moved}


def _as_row(advance: Advance, n_labels: int) -> dict[str, object]:
    time_us = advance.event_time_us
    return {
        "topic": advance.partition.topic,
        "partition": advance.partition.number,
        "epoch": advance.epoch,
        "start_offset": advance.start_offset,
        "next_offset": advance.next_offset,
        "event_time": None if time_us is None else to_datetime(time_us),
        **advance.counts.by_name,
        "n_labels": n_labels,
    }
