"""A store in memory, for tests of the worker; the contract suite keeps it honest."""

import operator
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import dropwhile, groupby
from typing import TypeVar

from flagpost.at_once import AtOnce
from flagpost.core.effects import (
    Advance,
    Counts,
    Effects,
    FlaggedTransaction,
    HourlyTotals,
    KeptScore,
    Label,
    LabelIdentity,
    Position,
    Segment,
)
from flagpost.core.segment import merge
from flagpost.core.store import Clock
from flagpost.errors import Fenced
from flagpost.events import Partition

Row = TypeVar("Row", Position, Counts)

SpreadKey = tuple[str, Partition, int, str]
"""The group, the partition, the hour in microseconds since 1970 and the model's version."""

TotalKey = tuple[str, Partition, int, str, int, str]
"""The group, the partition, the hour in which it was counted in microseconds since 1970, the
model's version, the hour since 1970 and the reason."""


@dataclass
class Database:
    """What the stores of several groups and members share."""

    positions: dict[tuple[str, Partition], Position] = field(default_factory=dict)
    totals: dict[tuple[str, Partition], Counts] = field(default_factory=dict)
    segments: dict[tuple[str, Partition], list[Segment]] = field(default_factory=dict)
    flagged: dict[str, FlaggedTransaction] = field(default_factory=dict)
    labels: dict[LabelIdentity, Label] = field(default_factory=dict)
    kept: dict[str, KeptScore] = field(default_factory=dict)
    spread: dict[SpreadKey, list[int]] = field(default_factory=dict)
    totals_by_hour: dict[TotalKey, tuple[int, int, int]] = field(default_factory=dict)
    waits_at: dict[tuple[str, Partition], int] = field(default_factory=dict)
    topic_ids: dict[tuple[str, Partition], str] = field(default_factory=dict)
    checkpoints: dict[tuple[str, Partition], list[int]] = field(default_factory=dict)
    errors: list[tuple[str, datetime]] = field(default_factory=list)


class MemoryStore:
    """The store of one group in a database of plain dictionaries."""

    def __init__(self, database: Database, group: str) -> None:
        self._database = database
        self._group = group
        self._is_under_way = False

    def rehearse(self) -> None:
        pass

    def acquire(self, first_offsets: Mapping[Partition, int]) -> dict[Partition, Position]:
        return {p: self._acquire(p, first) for p, first in first_offsets.items()}

    def _acquire(self, partition: Partition, first_offset: int) -> Position:
        key = self._group, partition
        old = self._database.positions.get(key, Position(0, first_offset, None))
        new = Position(old.epoch + 1, old.next_offset, old.event_time_us)
        self._database.positions[key] = new
        self._database.totals.setdefault(key, Counts())
        return new

    def identify(self, topic_ids: Mapping[Partition, str]) -> dict[Partition, str]:
        return {
            partition: self._database.topic_ids.setdefault((self._group, partition), topic_id)
            for partition, topic_id in topic_ids.items()
            if (self._group, partition) in self._database.positions
        }

    def load_segments(
        self, partitions: Collection[Partition], since_event_time_us: Mapping[Partition, int]
    ) -> Iterator[Segment]:
        for partition in partitions:
            yield from self._reaching(partition, since_event_time_us.get(partition, 0))

    def _reaching(self, partition: Partition, time_us: int) -> Iterator[Segment]:
        segments = self._segments(partition)
        return dropwhile(lambda segment: segment.max_event_time_us < time_us, segments)

    def _segments(self, partition: Partition) -> list[Segment]:
        """Return those of now, as a statement sees them."""
        return [*self._database.segments.get((self._group, partition), [])]

    def recall_segments(
        self, partition: Partition, first_us: int, last_us: int
    ) -> Iterator[Segment]:
        for segment in self._segments(partition):
            if segment.max_event_time_us >= first_us and segment.min_event_time_us <= last_us:
                yield segment

    def segments_from(self, offsets: Mapping[Partition, int]) -> Iterator[Segment]:
        for partition, offset in sorted(offsets.items()):
            for segment in self._segments(partition):
                if segment.end_offset > offset:
                    yield segment

    def clocks(self, topics: Collection[str]) -> dict[Partition, Clock]:
        return {
            partition: Clock(at.next_offset, self._reached_us(partition, at))
            for topic in topics
            for partition, at in self.positions(topic).items()
        }

    def _reached_us(self, partition: Partition, at: Position) -> int | None:
        times = at.event_time_us, self._database.waits_at.get((self._group, partition))
        return max((time for time in times if time is not None), default=None)

    def announce(
        self, waiting_us: Mapping[Partition, int], epochs: Mapping[Partition, int]
    ) -> None:
        for partition, time_us in waiting_us.items():
            key = self._group, partition
            if self._database.positions[key].epoch == epochs[partition]:
                self._database.waits_at[key] = time_us

    def commit(self, effects: Effects) -> Counts:
        return self.begin_commit(effects)()

    def begin_commit(self, effects: Effects) -> Callable[[], Counts]:
        if self._is_under_way:
            raise RuntimeError("nobody has asked what came of the commit before")
        self._is_under_way = True
        done = AtOnce().submit(self._commit, effects)

        def await_counts() -> Counts:
            self._is_under_way = False
            return done.result()

        return await_counts

    def _commit(self, effects: Effects) -> Counts:
        lost = {step.partition for step in effects.advances if not self._may_go_on(step)}
        if lost:
            raise Fenced(lost)
        for checkpoint in effects.checkpoints:
            of = self._group, checkpoint.partition
            at = self._database.positions[of].next_offset
            self._database.checkpoints.setdefault(of, []).append(at)
        for step in effects.advances:
            self._go_on(step)
        for segment in effects.segments:
            self._database.segments.setdefault((self._group, segment.partition), []).append(segment)
        for flagged in effects.flagged:
            self._database.flagged.setdefault(flagged.transaction_id, flagged)
        known = self._add_labels(effects.labels)
        for score in effects.kept:
            self._database.kept.setdefault(score.transaction_id, score)
        for spread in effects.spread:
            key = self._group, spread.partition, spread.hour_us, spread.model_version
            before = self._database.spread.get(key, [0] * len(spread.counts))
            self._database.spread[key] = list(map(operator.add, before, spread.counts))
        for totals in effects.totals:
            self._add_totals(totals)
        return effects.counts + _as_duplicates(known.total())

    def _add_totals(self, totals: HourlyTotals) -> None:
        rows = zip(totals.hour, totals.fraud_reason, totals.tx_count, totals.amount_cents,
                   totals.fraud_probability_millionths, strict=True)  # fmt: skip
        for hour, reason, *sums in rows:
            of_all = self._group, totals.partition, totals.counted_in_us, totals.model_version
            key = (*of_all, hour, reason)
            before = self._database.totals_by_hour.get(key, (0, 0, 0))
            n, cents, millionths = map(operator.add, before, sums)
            self._database.totals_by_hour[key] = n, cents, millionths

    def _add_labels(self, labels: Sequence[Label]) -> Counter[Partition]:
        """Add labels and count those of each partition that are there already."""
        known: Counter[Partition] = Counter()
        for label in labels:
            known[label.partition] += label.identity in self._database.labels
            self._database.labels.setdefault(label.identity, label)
        for partition, n in known.items():
            self._database.totals[self._group, partition] += _as_duplicates(n)
        return known

    def _may_go_on(self, step: Advance) -> bool:
        at = self._database.positions.get((self._group, step.partition))
        return at is not None and (at.epoch, at.next_offset) == (step.epoch, step.start_offset)

    def _go_on(self, step: Advance) -> None:
        key = self._group, step.partition
        times = self._database.positions[key].event_time_us, step.event_time_us
        latest = max((time for time in times if time is not None), default=None)
        self._database.positions[key] = Position(step.epoch, step.next_offset, latest)
        self._database.totals[key] = self._database.totals[key] + step.counts

    def positions(self, topic: str) -> dict[Partition, Position]:
        return self._of_topic(self._database.positions, topic)

    def totals(self, topic: str) -> dict[Partition, Counts]:
        return self._of_topic(self._database.totals, topic)

    def _of_topic(
        self, table: dict[tuple[str, Partition], Row], topic: str
    ) -> dict[Partition, Row]:
        mine = {p: row for (group, p), row in table.items() if group == self._group}
        return {p: row for p, row in mine.items() if p.topic == topic}

    def forget_segments(self, reached: Mapping[Partition, Position], kept_us: int) -> int:
        return sum(
            self._forget(partition, at.event_time_us - kept_us)
            for partition, at in reached.items()
            if self._database.positions[self._group, partition].epoch == at.epoch
            and at.event_time_us is not None
        )

    def _forget(self, partition: Partition, before_us: int) -> int:
        kept, n_before = list(self._reaching(partition, before_us)), len(self._segments(partition))
        self._database.segments[self._group, partition] = kept
        return n_before - len(kept)

    def merge_segments(self, partition: Partition, start_offset: int, end_offset: int) -> int:
        key = self._group, partition
        segments = self._segments(partition)
        checkpoints = self._database.checkpoints.get(key, [])

        def run_of(segment: Segment) -> object:
            if start_offset <= segment.start_offset < end_offset:
                return sum(offset <= segment.start_offset for offset in checkpoints)
            return segment

        merged = [_merged(list(run)) for _, run in groupby(segments, run_of)]
        # In place, for another thread may commit meanwhile.
        self._database.segments.get(key, [])[: len(segments)] = merged
        return len(segments) - len(merged)

    def note_error(self, error: str, at: datetime) -> None:
        self._database.errors.append((error, at))


def _merged(segments: Sequence[Segment]) -> Segment:
    if len(segments) == 1:
        return segments[0]
    return Segment(
        segments[0].partition,
        segments[0].start_offset,
        segments[-1].end_offset,
        min(each.min_event_time_us for each in segments),
        max(each.max_event_time_us for each in segments),
        merge(b"".join(each.columns for each in segments)),
    )


def _as_duplicates(n: int) -> Counts:
    """What to add to counts when so many messages are duplicates, not clean."""
    return Counts(n_clean=-n, n_duplicate=n)
