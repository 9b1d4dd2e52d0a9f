"""How the pipeline stands, as the two servers tell it, and what is wrong with that. No I/O."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain

from flagpost.core.effects import Counts
from flagpost.events import Partition


@dataclass(frozen=True, slots=True)
class Standing:
    """What PostgreSQL tells of a partition; times are aware, offsets those of Kafka.

    `owner` is who took it over last, alive or not: host and process id.
    """

    partition: Partition
    epoch: int
    next_offset: int
    event_time: datetime | None
    counts: Counts
    moved_at: datetime
    owner: str | None
    owned_since: datetime | None
    last_error: str | None
    last_error_at: datetime | None

    @property
    def present_error(self) -> str | None:
        """The last error, unless somebody has taken over or moved on since."""
        times = (self.moved_at, self.owned_since or self.moved_at)
        is_past = self.last_error_at is None or self.last_error_at < max(times)
        return None if is_past else self.last_error


@dataclass(frozen=True, slots=True)
class InKafka:
    """What Kafka tells: first and end offset of each partition, and the members of the group."""

    bounds: dict[Partition, tuple[int, int]]
    members: list[str]


@dataclass(frozen=True, slots=True)
class PartitionStatus:
    """A partition as both servers tell it; None is what nobody told."""

    partition: Partition
    standing: Standing | None
    first_offset: int | None
    end_offset: int | None

    @property
    def lag(self) -> int | None:
        """How many offsets are still to be read; None if Kafka does not say."""
        if self.end_offset is None or self.first_offset is None:
            return None
        start = self.standing.next_offset if self.standing else self.first_offset
        return self.end_offset - start

    @property
    def is_outside(self) -> bool:
        """Say whether the topic does not hold the next message, and cannot come to it."""
        if self.standing is None or self.first_offset is None or self.end_offset is None:
            return False
        return not self.first_offset <= self.standing.next_offset <= self.end_offset


@dataclass(frozen=True, slots=True)
class PipelineStatus:
    """The whole, at a moment. `kafka` and `standings` are None where the server told nothing."""

    at: datetime
    group: str
    kafka: InKafka | None
    standings: Sequence[Standing] | None
    unreachable: Sequence[str]

    @property
    def partitions(self) -> list[PartitionStatus]:
        """All partitions that either server knows, in the order of topic and number."""
        standings = {each.partition: each for each in self.standings or ()}
        bounds = self.kafka.bounds if self.kafka else {}
        return [
            PartitionStatus(
                partition, standings.get(partition), *bounds.get(partition, (None, None))
            )
            for partition in sorted(standings.keys() | bounds.keys())
        ]

    def problems(self, stalled_after_seconds: float) -> list[str]:
        """Say what an operator has to look at, a sentence each; nothing if all is well."""
        found = (self._of(each, stalled_after_seconds) for each in self.partitions)
        return [*self.unreachable, *self._of_group(), *chain.from_iterable(found)]

    def _of_group(self) -> Iterator[str]:
        n_waiting = sum(each.lag or 0 for each in self.partitions if not each.is_outside)
        if self.standings is not None and n_waiting and not self._has_members:
            yield f"{n_waiting:,} messages wait and group {self.group} has no member"

    def _of(self, status: PartitionStatus, stalled_after_seconds: float) -> Iterator[str]:
        name = f"{status.partition.topic}[{status.partition.number}]"
        standing = status.standing
        if standing is None:
            return
        if standing.present_error:
            yield f"{name}: {standing.present_error}"
        if status.is_outside:
            yield f"{name}: the topic does not hold the next message"
        elif self._has_members and status.lag and self._is_stalled(standing, stalled_after_seconds):
            yield f"{name}: {status.lag:,} messages wait and nothing moves"

    @property
    def _has_members(self) -> bool:
        return self.kafka is not None and bool(self.kafka.members)

    def _is_stalled(self, standing: Standing, after_seconds: float) -> bool:
        since = max(standing.moved_at, standing.owned_since or standing.moved_at)
        return self.at - since > timedelta(seconds=after_seconds)
