"""Taking a group back to an earlier position, with everything that it did since."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    and_,
    bindparam,
    delete,
    func,
    null,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.orm import InstrumentedAttribute

from flagpost.core.effects import Counts
from flagpost.errors import Refused
from flagpost.events import Partition
from flagpost.postgres.driver_errors import translated
from flagpost.postgres.recordset import recordset
from flagpost.postgres.tables import (
    Base,
    FraudLabel,
    FraudScore,
    FraudTransaction,
    HourlySpread,
    HourlyTotal,
    JournalSegment,
    StreamCheckpoint,
    StreamPosition,
)
from flagpost.rewind_plan import History, Mark, Step

_GROUP = bindparam("own_group", type_=StreamPosition.group.type)
_KEY = (StreamPosition.topic, StreamPosition.partition)
_COUNTS = tuple(getattr(StreamPosition, name) for name in Counts.__dataclass_fields__)
_MARK = ("next_offset", "event_time", *Counts.__dataclass_fields__)

_steps = recordset(
    "steps",
    *_KEY,
    JournalSegment.end_offset,
    StreamPosition.next_offset,
    StreamPosition.event_time,
    *_COUNTS,
)


def _undone(table: type[Base], offset: InstrumentedAttribute[Any]) -> ColumnElement[bool]:
    """Say which rows of a table come from messages that are going to be scored again."""
    columns = table.__table__.c
    return and_(
        columns.topic == _steps.c.topic,
        columns.partition == _steps.c.partition,
        offset >= _steps.c.next_offset,
        offset < _steps.c.end_offset,
    )


def _counted_since(
    table: type[HourlySpread | HourlyTotal], hour: InstrumentedAttribute[datetime]
) -> ColumnElement[bool]:
    """Say which counts are of later hours of the stream.

    Hours are counted apart at every checkpoint: see `core.spread.opens_hour`.
    """
    return and_(
        table.topic == _steps.c.topic,
        table.partition == _steps.c.partition,
        table.group == _GROUP,
        _steps.c.next_offset < _steps.c.end_offset,
        or_(_steps.c.event_time.is_(None), hour > _steps.c.event_time),
    )


_REMOVE = {
    "journal segments": delete(JournalSegment).where(
        _undone(JournalSegment, JournalSegment.start_offset), JournalSegment.group == _GROUP
    ),
    "checkpoints": delete(StreamCheckpoint).where(
        _undone(StreamCheckpoint, StreamCheckpoint.next_offset), StreamCheckpoint.group == _GROUP
    ),
    "flagged transactions": delete(FraudTransaction).where(
        _undone(FraudTransaction, FraudTransaction.kafka_offset)
    ),
    "kept scores": delete(FraudScore).where(_undone(FraudScore, FraudScore.kafka_offset)),
    "labels": delete(FraudLabel).where(_undone(FraudLabel, FraudLabel.kafka_offset)),
    "hours of spread": delete(HourlySpread).where(_counted_since(HourlySpread, HourlySpread.hour)),
    "hourly totals": delete(HourlyTotal).where(_counted_since(HourlyTotal, HourlyTotal.counted_in)),
}
_MOVE_BACK = (
    update(StreamPosition)
    .where(
        StreamPosition.topic == _steps.c.topic,
        StreamPosition.partition == _steps.c.partition,
        StreamPosition.group == _GROUP,
    )
    .values(
        {
            **{name: _steps.c[name] for name in _MARK},
            "epoch": StreamPosition.epoch + 1,
            "waits_at": None,
            "updated_at": func.now(),
            "owner": None,
            "owned_since": None,
            "last_error": None,
            "last_error_at": None,
        }
    )
)
_UNKNOWN = null()
_NO_LIMIT = text("SET LOCAL statement_timeout = 0")


@dataclass(frozen=True, slots=True)
class Rewindable:
    """Where a group stands and stood, and which other groups read the same topics."""

    histories: dict[Partition, History]
    other_groups: list[str]


def read_rewindable(engine: Engine, group: str, topics: Collection[str]) -> Rewindable:
    """Read the positions and the checkpoints of a group. Blocks.

    Raises:
        Unavailable: the database does not answer.
        SchemaOutdated: tables or columns are missing.
    """
    others = (
        select(StreamPosition.group)
        .where(StreamPosition.topic.in_(topics), StreamPosition.group != group)
        .distinct()
        .order_by(StreamPosition.group)
    )
    with translated(), engine.connect() as connection:
        standing = _read_marks(connection, StreamPosition, group, topics)
        checkpoints = _read_checkpoints(connection, group, topics)
        epochs = _read_epochs(connection, group, topics)
        histories = {
            partition: History(epochs[partition], now, checkpoints.get(partition, []))
            for partition, [now] in standing.items()
        }
        return Rewindable(histories, list(connection.scalars(others)))


def rewind(engine: Engine, group: str, steps: Sequence[Step]) -> dict[str, int]:
    """Take a group back, in one transaction. Blocks.

    Every partition begins a new epoch, those that stay too: a member that still runs can commit
    nothing more.

    Returns:
        How many rows were removed, by what they are.

    Raises:
        Refused: since the plan was made a partition has moved or was taken over, or a checkpoint
            has grown too old to be kept; nothing is done.
        Unavailable: the database does not answer; all of it is done, or nothing.
    """
    rows = {"own_group": group, "steps": [_as_row(step) for step in steps]}
    topics = {step.partition.topic for step in steps}
    with translated(), engine.begin() as connection:
        connection.execute(_NO_LIMIT)
        _lock(connection, group, topics, steps)
        _check_kept(connection, group, topics, steps)
        removed = {
            what: connection.execute(statement, rows).rowcount
            for what, statement in _REMOVE.items()
        }
        connection.execute(_MOVE_BACK, rows)
    return removed


def _read_marks(
    connection: Connection,
    table: type[StreamPosition | StreamCheckpoint],
    group: str,
    topics: Collection[str],
    next_event_time: ColumnElement[Any] | InstrumentedAttribute[Any] = _UNKNOWN,
) -> dict[Partition, list[Mark]]:
    columns = table.__table__.c
    query = (
        select(*(columns[name] for name in ("topic", "partition", *_MARK)), next_event_time)
        .where(columns.group == group, columns.topic.in_(topics))
        .order_by(columns.topic, columns.partition, columns.next_offset)
    )
    marks: dict[Partition, list[Mark]] = {}
    for topic, number, next_offset, event_time, *counts, came_next in connection.execute(query):
        mark = Mark(next_offset, event_time, Counts(*counts), came_next)
        marks.setdefault(Partition(topic, number), []).append(mark)
    return marks


def _read_checkpoints(
    connection: Connection, group: str, topics: Collection[str]
) -> dict[Partition, list[Mark]]:
    next_event_time = StreamCheckpoint.next_event_time
    return _read_marks(connection, StreamCheckpoint, group, topics, next_event_time)


def _read_epochs(
    connection: Connection, group: str, topics: Collection[str]
) -> dict[Partition, int]:
    query = select(*_KEY, StreamPosition.epoch).where(
        StreamPosition.group == group, StreamPosition.topic.in_(topics)
    )
    return {Partition(topic, number): epoch for topic, number, epoch in connection.execute(query)}


def _lock(
    connection: Connection, group: str, topics: Collection[str], steps: Sequence[Step]
) -> None:
    """Hold every position, in the order in which members lock them, if all are as planned.

    FOR UPDATE, before anything is changed: so whoever merges or shortens the journal waits, too.
    """
    query = (
        select(*_KEY, StreamPosition.epoch, StreamPosition.next_offset)
        .where(StreamPosition.group == group, StreamPosition.topic.in_(topics))
        .order_by(*_KEY)
        .with_for_update()
    )
    found = {tuple(row) for row in connection.execute(query)}
    if found != {(*step.partition, step.epoch, step.now.next_offset) for step in steps}:
        raise Refused("a member has moved or taken over a partition meanwhile; nothing was done")


def _check_kept(
    connection: Connection, group: str, topics: Collection[str], steps: Sequence[Step]
) -> None:
    """Make sure that the journal still has what each step goes back to."""
    kept = _read_checkpoints(connection, group, topics)
    if any(step.then not in (step.now, *kept.get(step.partition, [])) for step in steps):
        raise Refused("a checkpoint was dropped meanwhile, as too old; nothing was done")


def _as_row(step: Step) -> dict[str, object]:
    return {
        "topic": step.partition.topic,
        "partition": step.partition.number,
        "end_offset": step.now.next_offset,
        "next_offset": step.then.next_offset,
        "event_time": step.then.event_time,
        **asdict(step.then.counts),
    }
