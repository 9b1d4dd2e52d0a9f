"""Merging small segments of the journal: one row in the place of many, at once for every reader.

What else changes rows that are there, `flagpost rewind`, locks their position FOR UPDATE: so it
waits for a merge that is under way, and a merge for it. Takeovers and commits change no key of a
position and do not wait. Two members that merge the same rows wait for each other, and the second
finds them gone.
"""

from sqlalchemy import Connection, bindparam, delete, func, literal_column, select, text
from sqlalchemy.dialects.postgresql import aggregate_order_by

from flagpost.core.effects import Segment
from flagpost.core.segment import merge
from flagpost.errors import Unavailable
from flagpost.events import Partition
from flagpost.postgres import journal
from flagpost.postgres.tables import JournalSegment, StreamCheckpoint, StreamPosition
from flagpost.postgres.times import to_us

_TOPIC = bindparam("own_topic", type_=JournalSegment.topic.type)
_NUMBER = bindparam("own_partition", type_=JournalSegment.partition.type)
_GROUP = bindparam("own_group", type_=JournalSegment.group.type)

# Nobody waits for a merge, nor for its reply: if the server loses it, the rows are as they were.
_IN_BACKGROUND = text("SET LOCAL synchronous_commit = off")

_HOLD = (
    select(StreamPosition.epoch)
    .where(
        StreamPosition.topic == _TOPIC,
        StreamPosition.partition == _NUMBER,
        StreamPosition.group == _GROUP,
    )
    .with_for_update(read=True, key_share=True)
)

_IN_SPAN = (
    JournalSegment.topic == _TOPIC,
    JournalSegment.partition == _NUMBER,
    JournalSegment.group == _GROUP,
    JournalSegment.start_offset >= bindparam("first"),
    JournalSegment.start_offset < bindparam("end"),
)
# A rewind deletes what begins at its checkpoint or later, so nothing may reach over one.
_checkpoint = (
    select(func.max(StreamCheckpoint.next_offset))
    .where(
        StreamCheckpoint.topic == _TOPIC,
        StreamCheckpoint.partition == _NUMBER,
        StreamCheckpoint.group == _GROUP,
        StreamCheckpoint.next_offset <= JournalSegment.start_offset,
    )
    .scalar_subquery()
)
_found = select(JournalSegment.start_offset, _checkpoint.label("checkpoint")).where(*_IN_SPAN).cte()
_run = (
    select(
        _found.c.start_offset,
        func.min(_found.c.start_offset).over(partition_by=_found.c.checkpoint).label("first"),
        func.count().over(partition_by=_found.c.checkpoint).label("n_rows"),
    )
    .cte("run")
)  # fmt: skip
_taken = (
    delete(JournalSegment)
    .where(*_IN_SPAN, JournalSegment.start_offset == _run.c.start_offset, _run.c.n_rows > 1)
    .returning(
        JournalSegment.start_offset,
        JournalSegment.end_offset,
        JournalSegment.min_ts,
        JournalSegment.max_ts,
        JournalSegment.columns,
        _run.c.first,
        _run.c.n_rows,
    )
    .cte("taken")
)
_TAKE = (
    select(
        func.min(_taken.c.start_offset),
        func.max(_taken.c.end_offset),
        func.min(_taken.c.min_ts),
        func.max(_taken.c.max_ts),
        func.string_agg(
            _taken.c.columns, aggregate_order_by(literal_column("''"), _taken.c.start_offset)
        ),
        func.count(),
        func.min(_taken.c.n_rows),
    )
    .group_by(_taken.c.first)
    .order_by(_taken.c.first)
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
    connection.execute(_HOLD, where)
    n_taken, merged = 0, list[Segment]()
    for start, end, min_ts, max_ts, columns, n_found, n_rows in connection.execute(_TAKE, where):
        if n_found < n_rows:
            raise Unavailable(f"somebody else has merged {partition.topic}[{partition.number}]")
        n_taken += n_found
        times_us = to_us(min_ts), to_us(max_ts)
        merged.append(Segment(partition, start, end, *times_us, merge(bytes(columns))))
    if merged:
        connection.execute(_PUT_BACK, journal.parameters(group, merged))
    return n_taken - len(merged)
