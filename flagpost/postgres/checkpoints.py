"""Positions as they were before an hour of event time began: where one can rewind to."""

from collections.abc import Collection, Mapping

from sqlalchemy import Connection, and_, bindparam, delete, select
from sqlalchemy.dialects.postgresql import insert

from flagpost.core.features import RETENTION_US
from flagpost.events import Partition
from flagpost.postgres.recordset import recordset
from flagpost.postgres.tables import Checkpoint, StreamPosition
from flagpost.postgres.times import to_datetime

_GROUP = bindparam("own_group", type_=Checkpoint.group.type)

_COPIED = tuple(Checkpoint.__table__.columns.keys())
_left = recordset("left", Checkpoint.topic, Checkpoint.partition)
_KEEP = (
    insert(Checkpoint)
    .from_select(
        _COPIED,
        select(*(StreamPosition.__table__.c[name] for name in _COPIED))
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

_old = recordset("old", Checkpoint.topic, Checkpoint.partition, Checkpoint.event_time)
_FORGET = delete(Checkpoint).where(
    Checkpoint.topic == _old.c.topic,
    Checkpoint.partition == _old.c.partition,
    Checkpoint.group == _GROUP,
    Checkpoint.event_time < _old.c.event_time,
)


def keep(connection: Connection, group: str, partitions: Collection[Partition]) -> None:
    """Keep the positions as they are, before a commit that moves them on."""
    if partitions:
        left = [{"topic": topic, "partition": number} for topic, number in partitions]
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
