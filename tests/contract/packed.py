"""Segments that hold entries: what a message says follows from its offset."""

from collections.abc import Iterable

import numpy as np

from flagpost.core.effects import Advance, Checkpoint, Counts, Effects, Segment
from flagpost.core.segment import Entries, LabelEntries, pack
from flagpost.core.store import Store
from flagpost.events import Partition

FIRST_US, SECOND_US = 1_767_268_800_000_000, 1_000_000


def transactions(offsets: Iterable[int]) -> Entries:
    n = np.fromiter(offsets, np.int64)
    return Entries(
        user_key=n % 7 + 2**62,
        terminal_key=n % 3,
        event_time_us=FIRST_US + n * SECOND_US,
        amount_cents=n * 100,
        transaction_key=n * -(2**40),
        amount_ratio=n / 3,
        high_count_14d=n % 5,
        is_high=n % 2,
    )


def labels(offsets: Iterable[int]) -> LabelEntries:
    n = np.fromiter(offsets, np.int64)
    times = FIRST_US + n * SECOND_US
    return LabelEntries(n % 3 + 2**62, times - SECOND_US, n * -(2**40), times, n % 2)


def entries_of(partition: Partition, offsets: Iterable[int]) -> Entries | LabelEntries:
    return labels(offsets) if partition.topic == "labels" else transactions(offsets)


def packed(
    partition: Partition, start: int, end: int, offsets: Iterable[int] | None = None
) -> Segment:
    """Pack the messages of [start, end), or those of them that were accepted."""
    accepted = [*range(start, end)] if offsets is None else [*offsets]
    times_us = FIRST_US + accepted[0] * SECOND_US, FIRST_US + accepted[-1] * SECOND_US
    return Segment(partition, start, end, *times_us, pack(entries_of(partition, accepted)))


def commit(store: Store, *segments: Segment, opens_hour: bool = False) -> None:
    """Commit segments of one partition, at its latest epoch, up to the end of the last."""
    [partition] = {segment.partition for segment in segments}
    at = store.positions(partition.topic)[partition]
    end, latest_us = segments[-1].end_offset, segments[-1].max_event_time_us
    n = end - at.next_offset
    step = Advance(partition, at.epoch, at.next_offset, end, latest_us, Counts(n, n))
    checkpoints = [Checkpoint(partition, latest_us)] if opens_hour else []
    store.commit(Effects([step], [*segments], checkpoints=checkpoints))
