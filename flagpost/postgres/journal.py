"""The journal: what the histories are rebuilt from, exactly as old as the positions."""

import heapq
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import accumulate
from operator import attrgetter

from sqlalchemy import (
    Connection,
    Insert,
    Integer,
    LargeBinary,
    Select,
    TextClause,
    bindparam,
    column,
    delete,
    func,
    insert,
    select,
    text,
    true,
)
from sqlalchemy.orm import aliased

from flagpost.core.effects import Segment
from flagpost.events import Partition
from flagpost.postgres.recordset import recordset
from flagpost.postgres.tables import JournalSegment
from flagpost.postgres.times import to_datetime, to_us

# A segment is some hundred kilobytes after a full batch and some hundred bytes in quiet hours.
_SEGMENTS_PER_FETCH = 16

_NO_OFFSET = 2**63 - 1
"""Behind all offsets."""

_GROUP = bindparam("own_group", type_=JournalSegment.group.type)

_WRITTEN = (
    JournalSegment.topic,
    JournalSegment.partition,
    JournalSegment.group,
    JournalSegment.start_offset,
    JournalSegment.end_offset,
    JournalSegment.min_ts,
    JournalSegment.max_ts,
)
_segments = recordset(
    "segments",
    *_WRITTEN,
    extra=[column("first_byte", Integer), column("n_bytes", Integer)],
)
# The columns of all segments are sent as one run of bytes, as they are: JSON would double them.
_columns = func.substring(
    bindparam("all_columns", type_=LargeBinary), _segments.c.first_byte, _segments.c.n_bytes
)

_OF_PARTITION = (
    select(
        JournalSegment.start_offset,
        JournalSegment.end_offset,
        JournalSegment.min_ts,
        JournalSegment.max_ts,
        JournalSegment.columns,
    )
    .where(
        JournalSegment.topic == bindparam("own_topic"),
        JournalSegment.partition == bindparam("own_partition"),
        JournalSegment.group == _GROUP,
    )
    .order_by(JournalSegment.start_offset)
)
_reaching = aliased(JournalSegment, name="reaching")
_LOAD = _OF_PARTITION.where(
    JournalSegment.start_offset
    >= select(func.min(_reaching.start_offset))
    .where(
        _reaching.topic == bindparam("own_topic"),
        _reaching.partition == bindparam("own_partition"),
        _reaching.group == _GROUP,
        _reaching.max_ts >= bindparam("since"),
    )
    .scalar_subquery()
)
_RECALL = _OF_PARTITION.where(
    JournalSegment.max_ts >= bindparam("first"), JournalSegment.min_ts <= bindparam("last")
)

_heard = recordset(
    "heard", JournalSegment.topic, JournalSegment.partition, JournalSegment.end_offset
)
# The last one that begins before what was heard ends may have been merged and reach beyond it.
_last_before = (
    select(_reaching.start_offset)
    .where(
        _reaching.topic == _heard.c.topic,
        _reaching.partition == _heard.c.partition,
        _reaching.group == _GROUP,
        _reaching.start_offset < _heard.c.end_offset,
    )
    .order_by(_reaching.start_offset.desc())
    .limit(1)
    .correlate(_heard)
    .scalar_subquery()
)
# Looked up for each partition by itself: so the key's index leads to these rows and no others.
_unheard = (
    select(
        JournalSegment.start_offset,
        JournalSegment.end_offset,
        JournalSegment.min_ts,
        JournalSegment.max_ts,
        JournalSegment.columns,
    )
    .where(
        JournalSegment.topic == _heard.c.topic,
        JournalSegment.partition == _heard.c.partition,
        JournalSegment.group == _GROUP,
        JournalSegment.start_offset >= func.coalesce(_last_before, _heard.c.end_offset),
        JournalSegment.end_offset > _heard.c.end_offset,
    )
    .order_by(JournalSegment.start_offset)
    .lateral("unheard")
)
_READ_FROM = (
    select(_heard.c.topic, _heard.c.partition, *_unheard.c)
    .join_from(_heard, _unheard, true())
    .order_by(_heard.c.topic, _heard.c.partition, _unheard.c.start_offset)
)

_old = recordset("old", JournalSegment.topic, JournalSegment.partition, JournalSegment.max_ts)
_first_reaching = (
    select(_reaching.start_offset)
    .where(
        _reaching.topic == _old.c.topic,
        _reaching.partition == _old.c.partition,
        _reaching.group == _GROUP,
        _reaching.max_ts >= _old.c.max_ts,
    )
    .order_by(_reaching.start_offset)
    .limit(1)
    .scalar_subquery()
)
# Worked out first, once for each partition: so both statements read what is deleted and no more.
_kept = (
    select(
        _old.c.topic, _old.c.partition, func.coalesce(_first_reaching, _NO_OFFSET).label("first")
    )
    .cte("kept")
    .prefix_with("MATERIALIZED")
)
_FORGET = delete(JournalSegment).where(
    JournalSegment.topic == _kept.c.topic,
    JournalSegment.partition == _kept.c.partition,
    JournalSegment.group == _GROUP,
    JournalSegment.start_offset < _kept.c.first,
)

# A reader holds no row locks, and its caller may compile kernels before it asks for more.
_ALLOW_PAUSES = text("SET LOCAL idle_in_transaction_session_timeout = '5min'")


def insertion(condition: TextClause) -> Insert:
    """Insert segments under a condition."""
    written = (_segments.c[each.key] for each in _WRITTEN)
    return insert(JournalSegment).from_select(
        [*_WRITTEN, JournalSegment.columns], select(*written, _columns).where(condition)
    )


def parameters(group: str, segments: Sequence[Segment]) -> dict[str, object]:
    """Return what `insertion` asks for."""
    first_bytes = accumulate((len(each.columns) for each in segments), initial=1)
    return {
        "segments": [_as_row(group, *each) for each in zip(segments, first_bytes, strict=False)],
        "all_columns": b"".join(each.columns for each in segments),
    }


def load(
    connection: Connection,
    group: str,
    partitions: Collection[Partition],
    since_event_time_us: Mapping[Partition, int],
) -> Iterator[Segment]:
    """Stream the segments of partitions, some of each at a time in memory.

    Each partition in offset order, from its first segment that reaches the given time; all of them
    together about in the order of event time, so that entries come to the ends of histories.
    """
    since = {p: {"since": to_datetime(since_event_time_us.get(p, 0))} for p in partitions}
    streams = [_stream(connection, _LOAD, group, p, times) for p, times in since.items()]
    yield from heapq.merge(*streams, key=attrgetter("min_event_time_us"))


def read_from(
    connection: Connection, group: str, offsets: Mapping[Partition, int]
) -> Iterator[Segment]:
    """Stream the segments that reach beyond the given offsets, some at a time in memory."""
    connection.execute(_ALLOW_PAUSES)
    heard = [
        {"topic": topic, "partition": number, "end_offset": offset}
        for (topic, number), offset in offsets.items()
    ]
    asked = {"own_group": group, "heard": heard}
    streamed = {"yield_per": _SEGMENTS_PER_FETCH}
    with connection.execute(_READ_FROM, asked, execution_options=streamed) as rows:
        for topic, number, start, end, min_ts, max_ts, columns in rows:
            partition = Partition(topic, number)
            yield Segment(partition, start, end, to_us(min_ts), to_us(max_ts), bytes(columns))


def recall(
    connection: Connection, group: str, partition: Partition, first_us: int, last_us: int
) -> Iterator[Segment]:
    """Stream the segments that overlap a span of event time, some at a time in memory."""
    span = {"first": to_datetime(first_us), "last": to_datetime(last_us)}
    yield from _stream(connection, _RECALL, group, partition, span)


def _stream(
    connection: Connection,
    query: Select[int, int, datetime, datetime, bytes],
    group: str,
    partition: Partition,
    times: Mapping[str, datetime],
) -> Iterator[Segment]:
    connection.execute(_ALLOW_PAUSES)
    asked = {
        "own_topic": partition.topic,
        "own_partition": partition.number,
        "own_group": group,
        **times,
    }
    streamed = {"yield_per": _SEGMENTS_PER_FETCH}
    with connection.execute(query, asked, execution_options=streamed) as rows:
        for start, end, min_ts, max_ts, columns in rows:
            yield Segment(partition, start, end, to_us(min_ts), to_us(max_ts), bytes(columns))


def forget(
    connection: Connection, group: str, before_event_time_us: Mapping[Partition, int]
) -> int:
    """Delete the segments before the first that reaches its partition's time; return how many."""
    old = [
        {"topic": topic, "partition": number, "max_ts": to_datetime(time_us)}
        for (topic, number), time_us in before_event_time_us.items()
    ]
    return connection.execute(_FORGET, {"own_group": group, "old": old}).rowcount


def _as_row(group: str, segment: Segment, first_byte: int) -> dict[str, object]:
    return {
        "topic": segment.partition.topic,
        "partition": segment.partition.number,
        "group": group,
        "start_offset": segment.start_offset,
        "end_offset": segment.end_offset,
        "min_ts": to_datetime(segment.min_event_time_us),
        "max_ts": to_datetime(segment.max_event_time_us),
        "first_byte": first_byte,
        "n_bytes": len(segment.columns),
    }
