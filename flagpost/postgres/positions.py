"""Who owns a partition and how far it is: what the fence that keeps every effect single is made of.

Under READ COMMITTED, a statement that locks a row waits for the transaction that holds it, and then
sees the row as that transaction left it. So a takeover returns the position behind a commit that
was under way, and a commit that comes after a takeover finds another epoch. All lock in the
order of topic and partition: two members that meet wait for each other and do not deadlock.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    Connection,
    FromClause,
    Row,
    and_,
    bindparam,
    func,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from flagpost.core.effects import Counts, Position
from flagpost.core.store import Clock
from flagpost.events import Partition
from flagpost.postgres.recordset import recordset
from flagpost.postgres.tables import StreamPosition
from flagpost.postgres.times import to_datetime, to_us

_GROUP = bindparam("own_group", type_=StreamPosition.group.type)
_OWNER = bindparam("own_name", type_=StreamPosition.group.type)
KEY = (StreamPosition.topic, StreamPosition.partition)
_POSITION = (StreamPosition.epoch, StreamPosition.next_offset, StreamPosition.event_time)
COUNTS = (
    StreamPosition.n_in,
    StreamPosition.n_clean,
    StreamPosition.n_flagged,
    StreamPosition.n_duplicate,
    StreamPosition.n_dead,
)

_taken = recordset("taken", *KEY, StreamPosition.next_offset)
_ACQUIRE = (
    insert(StreamPosition)
    .from_select(
        [
            *KEY,
            StreamPosition.next_offset,
            StreamPosition.group,
            StreamPosition.epoch,
            StreamPosition.owner,
            StreamPosition.owned_since,
        ],
        select(*_taken.c, _GROUP, 1, _OWNER, func.now()).order_by(
            _taken.c.topic, _taken.c.partition
        ),
    )
    .on_conflict_do_update(
        index_elements=[StreamPosition.topic, StreamPosition.partition, StreamPosition.group],
        set_={
            StreamPosition.epoch: StreamPosition.epoch + 1,
            StreamPosition.owner: _OWNER,
            StreamPosition.owned_since: func.now(),
        },
    )
    .returning(*KEY, *_POSITION)
)


def is_of(rows: FromClause) -> ColumnElement[bool]:
    """Say which row of some belongs to a position of the group."""
    return and_(
        StreamPosition.topic == rows.c.topic,
        StreamPosition.partition == rows.c.partition,
        StreamPosition.group == _GROUP,
    )


def locked(rows: FromClause, *conditions: ColumnElement[bool]) -> CTE:
    """Lock the positions that some rows are of, in order, and keep the rows that still hold then.

    Locking is what makes a fence of the conditions. Without it they would be judged as things
    were when the statement began, and a takeover that it had to wait for would go unnoticed. FOR
    NO KEY UPDATE does not wait for somebody who merges segments of the journal.
    """
    return (
        select(rows)
        .join_from(rows, StreamPosition, and_(is_of(rows), *conditions))
        .order_by(*KEY)
        .with_for_update(of=StreamPosition, key_share=True)
        .cte()
    )


_identified = recordset("identified", *KEY, StreamPosition.topic_id)
_identified_here = locked(_identified)
_IDENTIFY = (
    update(StreamPosition)
    .where(is_of(_identified_here))
    .values(
        {
            StreamPosition.topic_id: func.coalesce(
                StreamPosition.topic_id, _identified_here.c.topic_id
            )
        }
    )
    .returning(*KEY, StreamPosition.topic_id)
)

_waiting = recordset("waiting", *KEY, StreamPosition.epoch, StreamPosition.waits_at)
_still_mine = locked(_waiting, StreamPosition.epoch == _waiting.c.epoch)
_ANNOUNCE = (
    update(StreamPosition)
    .where(is_of(_still_mine))
    .values({StreamPosition.waits_at: _still_mine.c.waits_at})
)

_held = recordset("held", *KEY)
# A takeover that is under way is not waited for and not seen, for it changes no key of the row; a
# rewind is, for it locks the row FOR UPDATE before it changes it.
_HOLD = (
    select(*KEY, StreamPosition.epoch)
    .join_from(_held, StreamPosition, is_of(_held))
    .order_by(*KEY)
    .with_for_update(of=StreamPosition, read=True, key_share=True)
)


def acquire(
    connection: Connection, group: str, owner: str, first_offsets: Mapping[Partition, int]
) -> dict[Partition, Position]:
    """Begin a new epoch of each partition; one that has no row yet starts at its first offset."""
    taken = [
        {"topic": topic, "partition": number, "next_offset": offset}
        for (topic, number), offset in first_offsets.items()
    ]
    rows = connection.execute(_ACQUIRE, {"own_group": group, "own_name": owner, "taken": taken})
    return {Partition(row.topic, row.partition): _position(row) for row in rows}


def identify(
    connection: Connection, group: str, topic_ids: Mapping[Partition, str]
) -> dict[Partition, str]:
    """Note of which topic positions are, where it is not known; return what is known then."""
    identified = [
        {"topic": topic, "partition": number, "topic_id": topic_id}
        for (topic, number), topic_id in topic_ids.items()
    ]
    rows = connection.execute(_IDENTIFY, {"own_group": group, "identified": identified})
    return {Partition(row.topic, row.partition): row.topic_id for row in rows}


def hold(
    connection: Connection, group: str, partitions: Iterable[Partition]
) -> dict[Partition, int]:
    """Keep others from rewinding some positions, and return their epochs.

    Takeovers and commits do not wait.
    """
    held = [{"topic": topic, "partition": number} for topic, number in partitions]
    rows = connection.execute(_HOLD, {"own_group": group, "held": held})
    return {Partition(topic, number): epoch for topic, number, epoch in rows}


def note_error(connection: Connection, group: str, owner: str, error: str, at: datetime) -> None:
    """Note what went wrong with all that this owner took over and nobody after it."""
    owned = (
        select(*KEY)
        .where(StreamPosition.group == group, StreamPosition.owner == owner)
        .order_by(*KEY)
        .with_for_update(key_share=True)
        .cte("owned")
    )
    noted = (
        update(StreamPosition)
        .where(
            StreamPosition.topic == owned.c.topic,
            StreamPosition.partition == owned.c.partition,
            StreamPosition.group == group,
        )
        .values(last_error=error, last_error_at=at)
    )
    connection.execute(noted)


def read(connection: Connection, group: str, topic: str) -> dict[Partition, Position]:
    """Return the positions of a group in a topic."""
    query = select(StreamPosition.partition, *_POSITION).where(
        StreamPosition.group == group, StreamPosition.topic == topic
    )
    rows = connection.execute(query)
    return {Partition(topic, row.partition): _position(row) for row in rows}


def read_clocks(
    connection: Connection, group: str, topics: Collection[str]
) -> dict[Partition, Clock]:
    """Return how far a group is in some topics; greatest() ignores a null."""
    reached = func.greatest(StreamPosition.event_time, StreamPosition.waits_at)
    query = select(*KEY, StreamPosition.next_offset, reached).where(
        StreamPosition.group == group, StreamPosition.topic.in_(topics)
    )
    return {
        Partition(topic, number): Clock(next_offset, None if time is None else to_us(time))
        for topic, number, next_offset, time in connection.execute(query)
    }


def announce(
    connection: Connection,
    group: str,
    waiting_us: Mapping[Partition, int],
    epochs: Mapping[Partition, int],
) -> None:
    """Note where partitions wait that are still ours."""
    waiting = [
        {"topic": p.topic, "partition": p.number, "epoch": epochs[p], "waits_at": to_datetime(us)}
        for p, us in waiting_us.items()
    ]
    connection.execute(_ANNOUNCE, {"own_group": group, "waiting": waiting})


def read_totals(connection: Connection, group: str, topic: str) -> dict[Partition, Counts]:
    """Return the counts of a group in a topic since its first message."""
    query = select(StreamPosition.partition, *COUNTS).where(
        StreamPosition.group == group, StreamPosition.topic == topic
    )
    rows = connection.execute(query)
    return {Partition(topic, number): Counts(*counts) for number, *counts in rows}


def _position(row: Row[*tuple[Any, ...]]) -> Position:
    time_us = None if row.event_time is None else to_us(row.event_time)
    return Position(row.epoch, row.next_offset, time_us)
