"""The invariants of delivery, each a function from what was found to what is wrong with it.

I1  the committed steps of a partition tile its offsets, and their counts are right; so are those of
    its position and of its checkpoints, one for each step that opened an hour
I2  the flagged transactions, the kept scores, the totals, the spread and the labels are those of
    the offline pass, in every column
I3  no offset was committed to Kafka before the position was there, and some were
I4  the journal holds every accepted transaction once, in offset order, in segments that do not
    overlap, each with what was accepted between its offsets, and none over a checkpoint
I5  the dead letters are exactly the bad messages, as they were, each with what is wrong with it
I6  after a fault the lag comes back to nothing, within a bound; while a member is silent, the
    others go on
I7  no password is in logs or headers
"""

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from reprlib import repr as shortened
from typing import TypeVar

import numpy as np

from flagpost.core.alignment import earliest
from flagpost.core.effects import Counts
from flagpost.core.history import Int64s
from flagpost.events import Partition
from flagpost.postgres.times import to_us
from flagpost.torture.kafka_commits import KafkaCommit
from flagpost.torture.ledger import Step, Takeover
from flagpost.torture.site import SESSION_SECONDS
from flagpost.torture.truth import Cell, FlaggedRow, KeptRow, LabelRow, Letter, Sums, Truth

Truths = Mapping[Partition, Truth]

Place = tuple[Partition, int]
"""The partition and the offset of a message."""

Row = TypeVar("Row", FlaggedRow, KeptRow, LabelRow, Letter)
Key = TypeVar("Key", int, str, Cell)
Told = TypeVar("Told")

NOTICED_AFTER, NOTICED_UNTIL = timedelta(seconds=1), timedelta(seconds=5)
"""Between these moments of a silence the others have to move on: its session has not ended yet, so
nobody has inherited anything."""

INHERITED_WITHIN = timedelta(seconds=SESSION_SECONDS + 2)
"""A partition that gets another owner so soon was perhaps given up by the former one before. Later
it may be one that a member has woken for, which is no excuse."""


class Harm(StrEnum):
    """What a violation does to somebody's decisions."""

    LOST = "lost"
    DOUBLED = "doubled"
    CHANGED = "changed"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Violation:
    """An invariant that does not hold, and where, as far as that can be said."""

    invariant: str
    harm: Harm
    text: str
    partition: Partition | None = None
    offset: int | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a position is, or was when a checkpoint was kept."""

    partition: Partition
    next_offset: int
    event_time_us: int | None
    counts: Counts


@dataclass(frozen=True, slots=True)
class SegmentRow:
    """What a row of the journal says of itself: its offsets, and how much is in it."""

    partition: Partition
    start_offset: int
    end_offset: int
    n_entries: int


@dataclass(frozen=True, slots=True)
class Silence:
    """A member stood still or died without a word; `others` lived on, all by their identities."""

    member: str
    others: frozenset[str]
    since: datetime


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


def check_kafka(commits: Iterable[KafkaCommit], steps: Iterable[Step]) -> Iterator[Violation]:
    """I3: whenever Kafka was told an offset, the commit of a step that far had begun.

    Compared are the broker's time and that of COMMIT, to the millisecond, as both clocks are one.
    A worker that has waited for the reply to COMMIT is always later.
    """
    reached = defaultdict[Partition, list[tuple[int, int]]](lambda: [(0, 0)])
    for step in steps:
        if step.next_offset > reached[step.partition][-1][0]:
            reached[step.partition].append((step.next_offset, to_us(step.at) // 1000))
    for commit in commits:
        so_far = reached[commit.partition]
        place = bisect_left(so_far, (commit.offset, 0))
        if place == len(so_far) or so_far[place][1] > commit.at_ms:
            text = f"Kafka was told {commit.offset} before the position was there"
            yield Violation("I3", Harm.OTHER, text, commit.partition, commit.offset)


def check_told(
    commits: Iterable[KafkaCommit], positions: Iterable[Standing]
) -> Iterator[Violation]:
    """I3: Kafka was told of every partition that went on, and in the end of nothing beyond it.

    It need not be the last position: who loses a partition lets go of what it would have told.
    """
    told = {commit.partition: commit.offset for commit in commits}
    for position in positions:
        partition, end = position.partition, position.next_offset
        if end and not 0 < told.get(partition, 0) <= end:
            text = f"Kafka was told {told.get(partition, 'nothing')} in the end, of {end}"
            yield Violation("I3", Harm.OTHER, text, partition)


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


def check_flagged(rows: Iterable[tuple[Place, FlaggedRow]], truths: Truths) -> Iterator[Violation]:
    """I2: each flagged transaction once, by the right model, every column to the last bit."""
    expected = _of_all(truths, lambda truth: truth.flagged)
    yield from _check_rows("I2", "the fraud table", rows, expected)


def check_kept(rows: Iterable[tuple[Place, KeptRow]], truths: Truths) -> Iterator[Violation]:
    """I2: the same of every scored transaction, clean ones too."""
    expected = _of_all(truths, lambda truth: truth.kept)
    yield from _check_rows("I2", "the kept scores", rows, expected)


def check_labels(rows: Iterable[tuple[Place, LabelRow]], truths: Truths) -> Iterator[Violation]:
    """I2 for labels: each learned once, as the message says that told it first."""
    expected = _of_all(truths, lambda truth: truth.labels)
    yield from _check_rows("I2", "the labels", rows, expected)


def check_dead_letters(
    letters: Iterable[tuple[Place, Letter]], truths: Truths
) -> Iterator[Violation]:
    """I5: every bad message as it was and no other; the same letter twice counts once."""
    expected = _of_all(truths, lambda truth: truth.letters)
    yield from _check_rows("I5", "the dead letters", dict.fromkeys(letters), expected)


def _check_rows(
    invariant: str,
    table: str,
    rows: Iterable[tuple[Place, Row]],
    expected: Mapping[Place, Row],
) -> Iterator[Violation]:
    found = dict[Place, Row]()
    for place, row in rows:
        if place in found:
            yield Violation(invariant, Harm.DOUBLED, f"twice in {table}", *place)
        found[place] = row
    for place in sorted(expected.keys() - found.keys()):
        yield Violation(invariant, Harm.LOST, f"not in {table}", *place)
    for place in sorted(found.keys() - expected.keys()):
        yield Violation(invariant, Harm.DOUBLED, f"should not be in {table}", *place)
    for place in sorted(expected.keys() & found.keys()):
        if differences := list(_differing_columns(found[place], expected[place])):
            text = f"{table}: {'; '.join(differences)}"
            yield Violation(invariant, Harm.CHANGED, text, *place)


def _differing_columns(found: Row, expected: Row) -> Iterator[str]:
    for name, is_, should in zip(found._fields, found, expected, strict=True):
        if is_ != should:
            yield f"{name} is {shortened(is_)}, not {shortened(should)}"


def check_totals(
    found: Mapping[tuple[Partition, Cell], Sums], truths: Truths
) -> Iterator[Violation]:
    """I2: each transaction is in the totals of its hour, model and reason, once."""
    expected = _of_all(truths, lambda truth: truth.totals)
    yield from _check_sums(
        "the totals of {} are", found, expected, Sums(0, 0, 0), lambda sums: sums.tx_count
    )


def check_spread(
    found: Mapping[tuple[Partition, str], list[int]], truths: Truths
) -> Iterator[Violation]:
    """I2: each sampled transaction is in one bin of each feature that its model counts, once."""
    expected = _of_all(truths, lambda truth: truth.spread)
    yield from _check_sums("the spread of {} is", found, expected, [], sum)


def _of_all(
    truths: Truths, told: Callable[[Truth], Mapping[Key, Told]]
) -> dict[tuple[Partition, Key], Told]:
    """Bring together what each partition's truth tells, by the partition and its own key."""
    return {(p, key): each for p, truth in truths.items() for key, each in told(truth).items()}


def _check_sums(
    says: str,
    found: Mapping[tuple[Partition, Key], Told],
    expected: Mapping[tuple[Partition, Key], Told],
    nothing: Told,
    n_counted: Callable[[Told], int],
) -> Iterator[Violation]:
    for place in sorted(expected.keys() | found.keys()):
        should, are = expected.get(place, nothing), found.get(place, nothing)
        if are != should:
            partition, key = place
            text = f"{says.format(key)} {are}, not {should}"
            yield Violation("I2", _harm(n_counted(are), n_counted(should)), text, partition)


def _harm(n_found: int, n_expected: int) -> Harm:
    if n_found == n_expected:
        return Harm.CHANGED
    return Harm.LOST if n_found < n_expected else Harm.DOUBLED


def check_journal(journal: Mapping[Partition, Int64s], truths: Truths) -> Iterator[Violation]:
    """I4: the journal of a partition is what was accepted, in offset order, once."""
    for partition, truth in truths.items():
        found = journal.get(partition, truth.entries[:0])
        if not np.array_equal(found, truth.entries):
            yield from _differences(partition, truth, found)


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
            harm = _harm(segment.n_entries, behind - first)
            text = f"[{start}, {end}) has {segment.n_entries} entries, not {behind - first}"
            yield Violation("I4", harm, text, partition, start)
        if bisect_right(kept[partition], start) < bisect_left(kept[partition], end):
            text = f"[{start}, {end}) reaches over a checkpoint"
            yield Violation("I4", Harm.OTHER, text, partition, start)
        at[partition] = end


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


@dataclass(frozen=True, slots=True)
class Chance:
    """What the others could do with a partition while a member was silent: offsets of it."""

    silence: Silence
    partition: Partition
    before: int
    after: int
    possible: int


def check_progress(chances: Iterable[Chance]) -> Iterator[Violation]:
    """I6: while a member is silent, the others go on where they can."""
    for chance in chances:
        if chance.before == chance.after:
            text = f"it stands before {chance.possible} while {chance.silence.member} is silent"
            yield Violation("I6", Harm.OTHER, text, chance.partition, chance.after)


def chances_of(
    silences: Iterable[Silence],
    takeovers: Sequence[Takeover],
    steps: Sequence[Step],
    truths: Truths,
) -> Iterator[Chance]:
    """Find the partitions in which the others could go on, as the order of events let them.

    That is some hours of event time beyond the slowest partition that has more to come, which soon
    is one of the silent member's: a replayed log passes them within a moment. Partitions that are
    about to change hands are left out.
    """
    for silence in silences:
        begin, end = silence.since + NOTICED_AFTER, silence.since + NOTICED_UNTIL
        before = _positions_at(steps, begin)
        after = _positions_at(steps, end)
        slowest_us = [
            int(truth.stream_time_us[before[partition] - 1]) if before[partition] else None
            for partition, truth in truths.items()
            if before[partition] < _n_sent(truth, end)
        ]
        limit_us = earliest(slowest_us)
        if limit_us is None:
            continue
        for partition in _kept_by_others(silence, takeovers):
            truth = truths[partition]
            sent_us = truth.stream_time_us[: _n_sent(truth, begin)]
            possible = int(np.searchsorted(sent_us, limit_us, side="right"))
            if before[partition] < possible:
                yield Chance(silence, partition, before[partition], after[partition], possible)


def _positions_at(steps: Iterable[Step], moment: datetime) -> Counter[Partition]:
    return Counter({step.partition: step.next_offset for step in steps if step.at <= moment})


def _n_sent(truth: Truth, moment: datetime) -> int:
    return bisect_right(truth.sent_us, to_us(moment))


def _kept_by_others(silence: Silence, takeovers: Iterable[Takeover]) -> Iterator[Partition]:
    until = silence.since + INHERITED_WITHIN
    latest = {each.partition: each for each in takeovers if each.at <= until}
    for partition, takeover in latest.items():
        if takeover.owner in silence.others and takeover.at <= silence.since:
            yield partition


def check_no_secret(texts: Mapping[str, str], secrets: Sequence[str]) -> Iterator[Violation]:
    """I7: none of the secrets is in any of the named texts."""
    for name, text in texts.items():
        if any(secret in text for secret in secrets):
            yield Violation("I7", Harm.OTHER, f"a password is in {name}")
