"""I4: the journal."""

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from flagpost.core.history import Int64s
from flagpost.events import Partition
from flagpost.torture.invariants.violations import Harm, Place, Truths, Violation, harm_of
from flagpost.torture.truth import Truth


@dataclass(frozen=True, slots=True)
class SegmentRow:
    """What a row of the journal says of itself: its offsets, and how much is in it."""

    partition: Partition
    start_offset: int
    end_offset: int
    n_entries: int


def check_journal(journal: Mapping[Partition, Int64s], truths: Truths) -> Iterator[Violation]:
    """I4: the journal of a partition is what was accepted, in offset order, once."""
    for partition, truth in truths.items():
        found = journal.get(partition, truth.entries[:0])
        if not np.array_equal(found, truth.entries):
            yield from _differences(partition, truth, found)


def _differences(partition: Partition, truth: Truth, found: Int64s) -> Iterator[Violation]:
    expected_rows, found_rows = list(map(tuple, truth.entries)), list(map(tuple, found))
    expected, there = Counter(expected_rows), Counter(found_rows)
    offset_of = dict(zip(expected_rows, truth.entry_offsets.tolist(), strict=True))
    for row in expected - there:
        yield Violation("I4", Harm.LOST, "not in the journal", partition, offset_of[row])
    for row in there - expected:
        text = "in the journal more often than it was accepted"
        yield Violation("I4", Harm.DOUBLED, text, partition, offset_of.get(row))
    if expected == there:
        place = next(n for n, pair in enumerate(zip(expected_rows, found_rows)) if len({*pair}) > 1)  # noqa: B905
        text = "the journal has another order"
        yield Violation("I4", Harm.CHANGED, text, partition, int(truth.entry_offsets[place]))


def check_segments(
    segments: Iterable[SegmentRow], checkpoints: Iterable[Place], truths: Truths
) -> Iterator[Violation]:
    """I4: merged or not, a segment says rightly what it holds; those of a partition in order."""
    at = dict.fromkeys(truths, 0)
    kept = defaultdict[Partition, list[int]](list)
    for partition, offset in sorted(checkpoints):
        kept[partition].append(offset)
    for segment in segments:
        partition, start, end = segment.partition, segment.start_offset, segment.end_offset
        if start < at[partition]:
            text = f"a segment begins before {at[partition]}, the end of the one before it"
            yield Violation("I4", Harm.DOUBLED, text, partition, start)
        first, behind = np.searchsorted(truths[partition].entry_offsets, [start, end]).tolist()
        if segment.n_entries != behind - first:
            harm = harm_of(segment.n_entries, behind - first)
            text = f"[{start}, {end}) has {segment.n_entries} entries, not {behind - first}"
            yield Violation("I4", harm, text, partition, start)
        if bisect_right(kept[partition], start) < bisect_left(kept[partition], end):
            text = f"[{start}, {end}) reaches over a checkpoint"
            yield Violation("I4", Harm.OTHER, text, partition, start)
        at[partition] = end
