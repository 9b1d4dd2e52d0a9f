"""The invariants of delivery, each a function from what was found to what is wrong with it.

I1  the committed steps of a partition tile its offsets, and their counts are right; so are those of
    its position and of its checkpoints
I2  the flagged transactions, the totals, the spread and the labels are those of the offline pass
I3  no offset was committed to Kafka before the position was there
I4  the journal holds every accepted transaction once, in offset order
I5  the dead letters are exactly the bad messages
I6  after a fault the lag comes back to nothing, within a bound; while a member is silent, the
    others go on
I7  no password is in logs or headers
"""

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import numpy as np

from flagpost.core.alignment import earliest
from flagpost.core.effects import Counts, LabelIdentity
from flagpost.core.history import Int64s
from flagpost.events import Partition
from flagpost.postgres.times import to_us
from flagpost.torture.kafka_commits import KafkaCommit
from flagpost.torture.ledger import Step, Takeover
from flagpost.torture.site import SESSION_SECONDS
from flagpost.torture.truth import Cell, Fate, Sums, Truth

Truths = Mapping[Partition, Truth]

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
class ScoredRow:
    """A row of the fraud table, or of the kept scores."""

    partition: Partition
    offset: int
    transaction_id: str
    fraud_probability: float
    model_version: str


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a position is, or was when a checkpoint was kept."""

    partition: Partition
    next_offset: int
    event_time_us: int | None
    counts: Counts


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


def check_flagged(rows: Iterable[ScoredRow], truths: Truths) -> Iterator[Violation]:
    """I2: each flagged transaction once, with the right model's score, bit for bit."""
    yield from _check_scores(rows, truths, "the fraud table", [Fate.FLAGGED])


def check_kept(rows: Iterable[ScoredRow], truths: Truths) -> Iterator[Violation]:
    """I2: the same of every scored transaction, clean ones too."""
    yield from _check_scores(rows, truths, "the kept scores", [Fate.FLAGGED, Fate.CLEAN])


def _check_scores(
    rows: Iterable[ScoredRow], truths: Truths, table: str, fates: Sequence[Fate]
) -> Iterator[Violation]:
    found = dict[tuple[Partition, int], ScoredRow]()
    for row in rows:
        place = row.partition, row.offset
        if place in found:
            yield Violation("I2", Harm.DOUBLED, f"{row.transaction_id} is there twice", *place)
        found[place] = row
    expected = {
        (partition, offset): ScoredRow(
            partition,
            offset,
            truth.names[offset],
            float(truth.fraud_probability[offset]),
            truth.model_version[offset],
        )
        for partition, truth in truths.items()
        for fate in fates
        for offset in truth.offsets_of(fate)
    }
    for place in sorted(expected.keys() - found.keys()):
        text = f"{expected[place].transaction_id} is not in {table}"
        yield Violation("I2", Harm.LOST, text, *place)
    for place in sorted(found.keys() - expected.keys()):
        text = f"{found[place].transaction_id} should not be in {table}"
        yield Violation("I2", Harm.DOUBLED, text, *place)
    for place in sorted(expected.keys() & found.keys()):
        if found[place] != expected[place]:
            text = f"{table} has {found[place]}, not {expected[place]}"
            yield Violation("I2", Harm.CHANGED, text, *place)


def check_totals(
    found: Mapping[tuple[Partition, Cell], Sums], truths: Truths
) -> Iterator[Violation]:
    """I2: each transaction is in the totals of its hour, model and reason, once."""
    expected = {
        (partition, cell): sums
        for partition, truth in truths.items()
        for cell, sums in truth.totals.items()
    }
    for place in sorted(expected.keys() | found.keys()):
        partition, cell = place
        should, are = expected.get(place, Sums(0, 0, 0)), found.get(place, Sums(0, 0, 0))
        if are != should:
            text = f"the totals of {cell} are {are}, not {should}"
            yield Violation("I2", _harm(are.tx_count, should.tx_count), text, partition)


def check_spread(
    found: Mapping[tuple[Partition, str], list[int]], truths: Truths
) -> Iterator[Violation]:
    """I2: each sampled transaction is in one bin of each feature that its model counts, once."""
    expected = {
        (partition, version): counts
        for partition, truth in truths.items()
        for version, counts in truth.spread.items()
    }
    for place in sorted(expected.keys() | found.keys()):
        partition, version = place
        should, are = expected.get(place, []), found.get(place, [])
        if are != should:
            text = f"the spread of {version} is {are}, not {should}"
            yield Violation("I2", _harm(sum(are), sum(should)), text, partition)


def _harm(n_found: int, n_expected: int) -> Harm:
    if n_found == n_expected:
        return Harm.CHANGED
    return Harm.LOST if n_found < n_expected else Harm.DOUBLED


def check_labels(
    rows: Mapping[tuple[Partition, int], LabelIdentity], truths: Truths
) -> Iterator[Violation]:
    """I2 for labels: each learned once, from the message that told it first."""
    expected = {
        (partition, offset): label
        for partition, truth in truths.items()
        for offset, label in truth.labels.items()
    }
    for place in sorted(expected.keys() - rows.keys()):
        yield Violation("I2", Harm.LOST, f"the label of {expected[place]} is missing", *place)
    for place in sorted(rows.keys() - expected.keys()):
        yield Violation("I2", Harm.DOUBLED, f"no label of {rows[place]} belongs here", *place)
    for place in sorted(expected.keys() & rows.keys()):
        if rows[place] != expected[place]:
            text = f"the label is {rows[place]}, not {expected[place]}"
            yield Violation("I2", Harm.CHANGED, text, *place)


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


def check_dead_letters(
    found: Iterable[tuple[Partition, int]], truths: Truths
) -> Iterator[Violation]:
    """I5: every bad message and no other; the same one twice counts once."""
    places = set(found)
    expected = {
        (partition, offset)
        for partition, truth in truths.items()
        for offset in truth.offsets_of(Fate.DEAD)
    }
    for place in sorted(expected - places):
        yield Violation("I5", Harm.LOST, "a bad message is not in the dead letters", *place)
    for place in sorted(places - expected):
        yield Violation("I5", Harm.CHANGED, "a good message is in the dead letters", *place)


def check_progress(
    silences: Iterable[Silence],
    takeovers: Sequence[Takeover],
    steps: Sequence[Step],
    truths: Truths,
) -> Iterator[Violation]:
    """I6: while a member is silent, the others go on, as far as the order of events lets them.

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
            if before[partition] == after[partition] < possible:
                text = f"it stands before {possible} while {silence.member} is silent"
                yield Violation("I6", Harm.OTHER, text, partition, after[partition])


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
