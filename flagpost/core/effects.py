"""Everything that one micro-batch does to the world, as plain data: the edge commits it at once."""

import operator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Self, TypeAlias

from flagpost.core.calendar import EPOCH
from flagpost.events import Partition


@dataclass(frozen=True, slots=True)
class Position:
    """Where a partition stands, and who may go on from there.

    `event_time_us` is the latest event time seen, in microseconds since 1970, or None before the
    first message.
    """

    epoch: int
    next_offset: int
    event_time_us: int | None


@dataclass(frozen=True, slots=True)
class Segment:
    """Accepted transactions of one partition in offset order, packed (see `core.segment`).

    Offsets are [start_offset, end_offset); times are microseconds since 1970.
    """

    partition: Partition
    start_offset: int
    end_offset: int
    min_event_time_us: int
    max_event_time_us: int
    columns: bytes


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of the messages: `n_in == n_clean + n_flagged + n_duplicate + n_dead`."""

    n_in: int = 0
    n_clean: int = 0
    n_flagged: int = 0
    n_duplicate: int = 0
    n_dead: int = 0

    def __add__(self, other: Self) -> Self:
        """Count both."""
        return type(self)(*map(operator.add, self.numbers, other.numbers))

    def __sub__(self, other: Self) -> Self:
        """Count what came after `other`."""
        return type(self)(*map(operator.sub, self.numbers, other.numbers))

    @property
    def numbers(self) -> tuple[int, int, int, int, int]:
        """The counts in the order of their fields."""
        return self.n_in, self.n_clean, self.n_flagged, self.n_duplicate, self.n_dead

    @property
    def by_name(self) -> dict[str, int]:
        """The counts by the names of their fields."""
        return dict(zip(self.__slots__, self.numbers, strict=True))


@dataclass(frozen=True, slots=True)
class Advance:
    """A partition moves from `start_offset` to `next_offset`, if it is still ours at `epoch`."""

    partition: Partition
    epoch: int
    start_offset: int
    next_offset: int
    event_time_us: int | None
    counts: Counts

    @property
    def position(self) -> Position:
        """Where the partition stands then."""
        return Position(self.epoch, self.next_offset, self.event_time_us)


@dataclass(frozen=True, slots=True)
class FlaggedTransaction:
    """One row of `scores.fraud_transactions`.

    `features` are finite, in the order of `core.features`, zeros without sign.
    """

    transaction_id: str
    user_id: str
    terminal_id: str | None
    event_time: datetime
    amount_cents: int
    fraud_probability: float
    risk_level: str
    reasons: list[dict[str, Any]]
    model_version: str
    partition: Partition
    offset: int
    features: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class KeptScore:
    """One row of `scores.fraud_scores`: what the model saw of a transaction, flagged or not.

    `features` are finite, in the order of `core.features`, zeros without sign.
    """

    transaction_id: str
    user_id: str
    terminal_id: str | None
    event_time: datetime
    fraud_probability: float
    is_flagged: bool
    features: list[float]
    model_version: str
    partition: Partition
    offset: int


LabelIdentity: TypeAlias = tuple[str, int, bool]
"""The transaction's id, `known_at` in microseconds since 1970, and `is_fraud`.

A message that agrees in all three is a repeated delivery; any other is a correction.
"""


@dataclass(frozen=True, slots=True)
class Label:
    """One row of `label.fraud_labels`: what became known about a transaction, and when."""

    transaction_id: str
    user_id: str | None
    terminal_id: str | None
    event_time: datetime
    is_fraud: bool
    known_at: datetime
    source: str | None
    partition: Partition
    offset: int

    @property
    def identity(self) -> LabelIdentity:
        """What tells it from other labels."""
        known_at_us = (self.known_at - EPOCH) // timedelta(microseconds=1)
        return self.transaction_id, known_at_us, self.is_fraud


@dataclass(frozen=True, slots=True)
class SpreadCounts:
    """What is added to one row of `feature.hourly_spread` (see `core.spread`).

    `hour_us` is the full hour of event time, in microseconds since 1970.
    """

    partition: Partition
    hour_us: int
    model_version: str
    counts: list[int]


@dataclass(frozen=True, slots=True)
class HourlyTotals:
    """What one partition adds to `feature.hourly_totals` (see `core.totals`): k rows as columns.

    `counted_in_us` is the full hour of event time that the stream had come to, in microseconds
    since 1970. Hours count from 1970.
    """

    partition: Partition
    counted_in_us: int
    model_version: str
    hour: list[int]
    fraud_reason: list[str]
    tx_count: list[int]
    amount_cents: list[int]
    fraud_probability_millionths: list[int]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """That the position of a partition before this batch is worth keeping: to rewind to it.

    `next_event_time_us` is the stream time of the next row, in microseconds since 1970; None if the
    batch has only bad messages of this partition.
    """

    partition: Partition
    next_event_time_us: int | None


@dataclass(frozen=True, slots=True)
class Effects:
    """All effects of one micro-batch; they become visible together or not at all."""

    advances: list[Advance]
    segments: list[Segment] = field(default_factory=list)
    flagged: list[FlaggedTransaction] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)
    kept: list[KeptScore] = field(default_factory=list)
    spread: list[SpreadCounts] = field(default_factory=list)
    checkpoints: list[Checkpoint] = field(default_factory=list)
    totals: list[HourlyTotals] = field(default_factory=list)

    @property
    def counts(self) -> Counts:
        """What became of all messages of the batch."""
        return Counts(*map(sum, zip(*(step.counts.numbers for step in self.advances), strict=True)))
