"""Merging small segments of the journal: one row in the place of many, at once for every reader.

`flagpost rewind`, which removes rows, locks their position FOR UPDATE: so it waits for a merge that
is under way, and a merge for it. Takeovers and commits change no key of a position and do not wait.
Two members that merge the same rows wait for each other, and the second finds them gone.
"""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Connection,
    bindparam,
    cast,
    delete,
    func,
    literal_column,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by

from flagpost.core.effects import Segment
from flagpost.core.segment import merge
from flagpost.errors import Unavailable
from flagpost.events import Partition
from flagpost.postgres import journal, positions
from flagpost.postgres.tables import JournalSegment, StreamCheckpoint
from flagpost.postgres.times import to_us

_TOPIC = bindparam("own_topic", type_=JournalSegment.topic.type)
_NUMBER = bindparam("own_partition", type_=JournalSegment.partition.type)
_GROUP = bindparam("own_group", type_=JournalSegment.group.type)

# Nobody waits for a merge, nor for its reply: if the server loses it, the rows are as they were.
_IN_BACKGROUND = text("SET LOCAL synchronous_commit = off")

_IN_SPAN = (
    JournalSegment.topic == _TOPIC,
    JournalSegment.partition == _NUMBER,
    JournalSegment.group == _GROUP,
    JournalSegment.start_offset >= bindparam("first"),
    JournalSegment.start_offset < bindparam("end"),
)
# A rewind deletes what begins at its checkpoint or later, so nothing may reach over one. They are
# not looked up for each row by itself, which took a fifth of the time of a merge.
_checkpoints = (
    select(StreamCheckpoint.next_offset)
    .where(
        StreamCheckpoint.topic == _TOPIC,
        StreamCheckpoint.partition == _NUMBER,
        StreamCheckpoint.group == _GROUP,
        StreamCheckpoint.next_offset.between(bindparam("first"), bindparam("end")),
    )
    .order_by(StreamCheckpoint.next_offset)
    .scalar_subquery()
)
_n_checkpoints = func.width_bucket(
    JournalSegment.start_offset, func.array(_checkpoints, type_=ARRAY(BigInteger))
)
_between_checkpoints = (
    select(
        JournalSegment.start_offset,
        func.count().over(partition_by=_n_checkpoints).label("n_rows"),
    )
    .where(*_IN_SPAN)
    .subquery()
)
# An array and no join: the planner makes that a loop in a loop while it has no statistics of a
# young table, and a merge took PostgreSQL 100 ms instead of 10.
_seen = (
    select(func.array_agg(_between_checkpoints.c.start_offset).label("start_offsets"))
    .where(_between_checkpoints.c.n_rows > 1)
    .cte("seen")
)
_start_offsets = cast(select(_seen.c.start_offsets).scalar_subquery(), ARRAY(BigInteger))
_taken = (
    delete(JournalSegment)
    .where(*_IN_SPAN, JournalSegment.start_offset == func.any(_start_offsets))
    .returning(
        JournalSegment.start_offset,
        JournalSegment.end_offset,
        JournalSegment.min_ts,
        JournalSegment.max_ts,
        JournalSegment.columns,
        _n_checkpoints.label("n_checkpoints"),
    )
    .cte("taken")
)
_TAKE = (
    select(
        func.min(_taken.c.start_offset).label("start"),
        func.max(_taken.c.end_offset).label("end"),
        func.min(_taken.c.min_ts).label("min_ts"),
        func.max(_taken.c.max_ts).label("max_ts"),
        func.string_agg(
            _taken.c.columns, aggregate_order_by(literal_column("''"), _taken.c.start_offset)
        ).label("columns"),
        func.count().label("n_rows"),
        func.cardinality(_start_offsets).label("n_seen"),
    )
    .group_by(_taken.c.n_checkpoints)
    .order_by(func.min(_taken.c.start_offset))
)
_PUT_BACK = journal.insertion(text("true"))


def merge_rows(
    connection: Connection, group: str, partition: Partition, start_offset: int, end_offset: int
) -> int:
    """Merge the segments that begin within [start_offset, end_offset), apart at checkpoints.

    Returns:
        How many rows fewer there are.

    Raises:
        Unavailable: somebody else deleted one of them meanwhile; roll back.
    """
    where = {
        "own_topic": partition.topic,
        "own_partition": partition.number,
        "own_group": group,
        "first": start_offset,
        "end": end_offset,
    }
    connection.execute(_IN_BACKGROUND)
    positions.hold(connection, group, [partition])
    taken = connection.execute(_TAKE, where).all()
    n_taken = sum(row.n_rows for row in taken)
    if taken and n_taken < taken[0].n_seen:
        raise Unavailable(f"somebody else has merged {partition.topic}[{partition.number}]")
    merged = [
        Segment(
            partition, row.start, row.end, to_us(row.min_ts), to_us(row.max_ts),
            merge(bytes(row.columns)),
        )
        for row in taken
    ]  # fmt: skip
    if merged:
        connection.execute(_PUT_BACK, journal.parameters(group, merged))
    return n_taken - len(merged)
