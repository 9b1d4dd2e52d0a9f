"""I1: steps, positions and checkpoints."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from flagpost.core.effects import Counts
from flagpost.events import Partition
from flagpost.torture.invariants.violations import Harm, Place, Truths, Violation
from flagpost.torture.ledger import Step


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a position is, or was when a checkpoint was kept."""

    partition: Partition
    next_offset: int
    event_time_us: int | None
    counts: Counts


def check_steps(steps: Iterable[Step], truths: Truths) -> Iterator[Violation]:
    """I1: no gap, no overlap, nothing left, and counts that are right."""
    at = dict.fromkeys(truths, 0)
    for step in steps:
        partition, start, end = step.partition, step.start_offset, step.next_offset
        if start != at[partition] or end <= start:
            harm = Harm.LOST if start > at[partition] else Harm.DOUBLED
            text = f"a step goes from {start} to {end}, the one before it went to {at[partition]}"
            yield Violation("I1", harm, text, partition, start)
        expected = truths[partition].counts(start, end)
        if step.counts != expected:
            text = f"[{start}, {end}) was counted as {step.counts}, not {expected}"
            yield Violation("I1", Harm.CHANGED, text, partition, start)
        at[partition] = end
    for partition, end in at.items():
        if end < len(truths[partition].fates):
            text = f"the steps end at {end} of {len(truths[partition].fates)} messages"
            yield Violation("I1", Harm.LOST, text, partition, end)


def check_owners(steps: Iterable[Step]) -> Iterator[Violation]:
    """I1: each step was made by the member that owned the partition at that moment."""
    for step in steps:
        if step.writer != step.owner:
            text = f"{step.owner} owned it, {step.writer} wrote"
            yield Violation("I1", Harm.OTHER, text, step.partition, step.start_offset)


def check_ends(
    positions: Iterable[Standing], steps: Iterable[Step], truths: Truths
) -> Iterator[Violation]:
    """I1: each partition stands at its end in the end, by nothing but its steps."""
    standing = {position.partition: position for position in positions}
    counted = dict.fromkeys(truths, Counts())
    for step in steps:
        counted[step.partition] += step.counts
    for partition, truth in truths.items():
        end = len(truth.fates)
        found = standing.get(partition, Standing(partition, 0, None, Counts()))
        if found.next_offset != end:
            harm = Harm.LOST if found.next_offset < end else Harm.OTHER
            text = f"the position is {found.next_offset}, of {end} messages"
            yield Violation("I1", harm, text, partition, found.next_offset)
        if found.counts != counted[partition]:
            text = f"the position has {found.counts}, its steps {counted[partition]}"
            yield Violation("I1", Harm.CHANGED, text, partition)


def check_standings(standings: Iterable[Standing], truths: Truths) -> Iterator[Violation]:
    """I1: the counts and the event time of positions and checkpoints are of all before them."""
    for standing in standings:
        partition, end = standing.partition, standing.next_offset
        truth = truths[partition]
        expected = Standing(partition, end, truth.event_time_us(end), truth.counts(0, end))
        if standing != expected:
            yield Violation("I1", Harm.CHANGED, f"{standing}, not {expected}", partition, end)


def check_checkpoints(
    found: Mapping[Place, int | None], steps: Iterable[Step], truths: Truths
) -> Iterator[Violation]:
    """I1: one before each step that opens an hour, with the stream time that comes next."""
    expected = dict[Place, int | None]()
    for step in steps:
        start, end, truth = step.start_offset, step.next_offset, truths[step.partition]
        if truth.opens_hour(start, end):
            next_us = truth.good_times_us(start, end)[:1].tolist()
            expected[step.partition, start] = next_us[0] if next_us else None
    for place in sorted(expected.keys() - found.keys()):
        yield Violation("I1", Harm.LOST, "a step opens an hour without a checkpoint", *place)
    for place in sorted(found.keys() - expected.keys()):
        yield Violation("I1", Harm.OTHER, "a checkpoint where no step opens an hour", *place)
    for place in sorted(expected.keys() & found.keys()):
        if found[place] != expected[place]:
            text = f"a checkpoint before {found[place]}, not {expected[place]}"
            yield Violation("I1", Harm.CHANGED, text, *place)
