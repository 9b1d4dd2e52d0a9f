"""Positions as they were before an hour of event time began: where one can rewind to."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, and_, bindparam, delete, select
from sqlalchemy.dialects.postgresql import insert

from flagpost.core.effects import Checkpoint
from flagpost.core.features import RETENTION_US
from flagpost.events import Partition
from flagpost.postgres.recordset import recordset
from flagpost.postgres.tables import StreamCheckpoint, StreamPosition
from flagpost.postgres.times import to_datetime

_GROUP = bindparam("own_group", type_=StreamCheckpoint.group.type)

_left = recordset(
    "left", StreamCheckpoint.topic, StreamCheckpoint.partition, StreamCheckpoint.next_event_time
)
_NEXT = StreamCheckpoint.next_event_time.key
_COPIED = tuple(c.key for c in StreamCheckpoint.__table__.columns if c.key != _NEXT)
_KEEP = (
    insert(StreamCheckpoint)
    .from_select(
        [*_COPIED, _NEXT],
        select(*(StreamPosition.__table__.c[name] for name in _COPIED), _left.c[_NEXT])
        .join_from(
            _left,
            StreamPosition,
            and_(
                StreamPosition.topic == _left.c.topic,
                StreamPosition.partition == _left.c.partition,
                StreamPosition.group == _GROUP,
            ),
        )
        .order_by(StreamPosition.topic, StreamPosition.partition),
    )
    .on_conflict_do_nothing()  # a zombie comes to the fence, and no further
)

_old = recordset(
    "old", StreamCheckpoint.topic, StreamCheckpoint.partition, StreamCheckpoint.event_time
)
_FORGET = delete(StreamCheckpoint).where(
    StreamCheckpoint.topic == _old.c.topic,
    StreamCheckpoint.partition == _old.c.partition,
    StreamCheckpoint.group == _GROUP,
    StreamCheckpoint.event_time < _old.c.event_time,
)


def keep(connection: Connection, group: str, checkpoints: Sequence[Checkpoint]) -> None:
    """Keep positions as they are, before a commit that moves them on."""
    left = [_as_row(each) for each in checkpoints]
    connection.execute(_KEEP, {"own_group": group, "left": left})


def forget(
    connection: Connection, group: str, before_event_time_us: Mapping[Partition, int]
) -> None:
    """Delete the checkpoints whose state the journal cannot give any more.

    The journal begins at the given times; the beginning of a partition needs nothing of it.
    """
    old = [
        {
            "topic": topic,
            "partition": number,
            "event_time": to_datetime(time_us + RETENTION_US),
        }
        for (topic, number), time_us in before_event_time_us.items()
    ]
    connection.execute(_FORGET, {"own_group": group, "old": old})


def _as_row(checkpoint: Checkpoint) -> dict[str, object]:
    time_us = checkpoint.next_event_time_us
    return {
        "topic": checkpoint.partition.topic,
        "partition": checkpoint.partition.number,
        "next_event_time": None if time_us is None else to_datetime(time_us),
    }
