"""A `Source` in memory, for tests of what uses one; the contract suite keeps it honest."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from flagpost.errors import OffsetLost
from flagpost.events import Partition
from flagpost.kafka.source import Chunk, Poll, Record

Log = dict[Partition, list[Record | None]]
"""What each partition holds; None is an offset without a message."""


@dataclass(frozen=True)
class MemoryChunk:
    partition: Partition
    offsets: list[int]
    records: list[Record]

    @property
    def values(self) -> list[bytes | None]:
        return [record.value for record in self.records]

    @property
    def next_offset(self) -> int:
        return self.offsets[-1] + 1

    def offset(self, index: int) -> int:
        return self.offsets[index]

    def record(self, index: int) -> Record:
        return self.records[index]


@dataclass
class MemorySource:
    """Gets every partition of `log` at once; `give` and `take` play a rebalance."""

    log: Log
    committed: dict[Partition, int] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)
    """Ids of topics that are not the first of their name."""

    def __post_init__(self) -> None:
        self._assigned: set[Partition] = set()
        self._lost: set[Partition] = set()
        self._owned: set[Partition] = set()
        self._positions: dict[Partition, int] = {}
        self._paused: set[Partition] = set()
        self.give(self.log)

    def give(self, partitions: Iterable[Partition]) -> None:
        self._assigned |= set(partitions)

    def take(self, partitions: Iterable[Partition]) -> None:
        self._lost |= set(partitions)
        self._assigned -= self._lost

    def poll(self, max_messages: int, timeout_seconds: float) -> Poll:
        assigned, lost = frozenset(self._assigned), frozenset(self._lost)
        self._assigned, self._lost = set(), set()
        for partition in assigned | lost:
            self._positions.pop(partition, None)
            self._paused.discard(partition)
        self._owned = (self._owned - lost) | assigned
        chunks = self._read(max_messages)
        if not (chunks or assigned or lost):
            time.sleep(timeout_seconds)
        return Poll(chunks, assigned, lost)

    def seek(self, offsets: Mapping[Partition, int]) -> None:
        self._positions |= {p: offset for p, offset in offsets.items() if p in self._owned}

    def pause(self, partitions: Iterable[Partition]) -> None:
        self._paused |= self._owned.intersection(partitions)

    def resume(self, partitions: Iterable[Partition]) -> None:
        self._paused -= set(partitions)

    def is_paused(self, partition: Partition) -> bool:
        return partition in self._paused

    def bounds(self, partitions: Iterable[Partition]) -> dict[Partition, tuple[int, int]]:
        return {partition: (0, len(self.log[partition])) for partition in partitions}

    def position(self, partition: Partition) -> int | None:
        return self._positions.get(partition)

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        self.committed |= offsets

    def partitions(self) -> set[Partition]:
        return set(self.log)

    def topic_ids(self) -> dict[str, str]:
        return {partition.topic: "first" for partition in self.log} | self.ids

    def close(self) -> None:
        self._owned.clear()

    def _read(self, max_messages: int) -> list[Chunk]:
        chunks: list[Chunk] = []
        for partition in self._positions.keys() - self._paused:
            records = self.log[partition]
            start = self._positions[partition]
            if start > len(records):
                raise OffsetLost(f"{partition} does not hold offset {start}")
            offsets = _next_messages(records, start, max_messages)
            max_messages -= len(offsets)
            if offsets:
                found = [record for offset in offsets if (record := records[offset])]
                chunks.append(MemoryChunk(partition, offsets, found))
            self._positions[partition] = _skip_gap(records, offsets[-1] + 1 if offsets else start)
        return chunks


def _next_messages(records: Sequence[Record | None], start: int, limit: int) -> list[int]:
    return [o for o in range(start, len(records)) if records[o] is not None][:limit]


def _skip_gap(records: Sequence[Record | None], offset: int) -> int:
    while offset < len(records) and records[offset] is None:
        offset += 1
    return offset
