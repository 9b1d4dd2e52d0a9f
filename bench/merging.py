"""Merging the rows of a journal, as an experiment: nothing in the project does it."""

import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from sqlalchemy import delete

from flagpost.core.effects import Effects, Segment
from flagpost.core.segment import Entries, pack, unpack
from flagpost.core.state import State
from flagpost.events import Partition
from flagpost.postgres import additions, journal
from flagpost.postgres.engine import create_engine
from flagpost.postgres.tables import JournalSegment
from flagpost.settings import Settings


class Merged(NamedTuple):
    """What merging all rows of each partition took, and what it saves.

    The seconds of folding are those of making a state of the rows before, and after.
    """

    packed_bytes: int
    seconds: float
    fold_seconds: float
    fold_merged_seconds: float


def merge(segments: Sequence[Segment]) -> Segment:
    """Make one segment of consecutive ones of a partition of transactions."""
    entries = [each for each in (unpack(s.columns) for s in segments) if isinstance(each, Entries)]
    first, last = segments[0], segments[-1]
    return Segment(
        first.partition,
        first.start_offset,
        last.end_offset,
        min(each.min_event_time_us for each in segments),
        max(each.max_event_time_us for each in segments),
        pack(Entries(*(np.concatenate(parts) for parts in zip(*entries, strict=True)))),
    )


def try_merging(settings: Settings) -> Merged:
    """Merge the rows of each partition in one transaction, and roll it back. Blocks."""
    engine = create_engine(settings.database_url.get_secret_value())
    partitions = [Partition(settings.topic, n) for n in range(settings.topic_partitions)]
    before, after = list[Segment](), list[Segment]()
    try:
        with engine.connect() as connection:
            began = time.perf_counter()
            for partition in partitions:
                segments = list(journal.load(connection, settings.group, [partition], {}))
                if segments:
                    merged = merge(segments)
                    connection.execute(
                        delete(JournalSegment).where(
                            JournalSegment.topic == partition.topic,
                            JournalSegment.partition == partition.number,
                            JournalSegment.group == settings.group,
                        )
                    )
                    additions.add(connection, settings.group, Effects([], segments=[merged]))
                    before += segments
                    after.append(merged)
            seconds = time.perf_counter() - began
            connection.rollback()
    finally:
        engine.dispose()
    _fold_seconds(after)  # loads the kernels
    return Merged(
        packed_bytes=sum(len(segment.columns) for segment in after),
        seconds=seconds,
        fold_seconds=_fold_seconds(before),
        fold_merged_seconds=_fold_seconds(after),
    )


def _fold_seconds(segments: Iterable[Segment]) -> float:
    state, began = State(), time.perf_counter()
    for segment in segments:
        state.fold(segment)
    return time.perf_counter() - began
