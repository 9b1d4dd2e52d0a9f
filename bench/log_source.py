"""A file in place of Kafka: gives the worker the same messages without a client's work."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

from flagpost.events import Partition, message_keys
from flagpost.kafka.source import Poll, Record
from flagpost.logs import read_log


@dataclass(frozen=True, slots=True)
class LogChunk:
    """Some consecutive messages of one partition; their offsets have no gaps."""

    partition: Partition
    first_offset: int
    values: list[bytes | None]

    @property
    def next_offset(self) -> int:
        return self.first_offset + len(self.values)

    def offset(self, index: int) -> int:
        return self.first_offset + index

    def record(self, index: int) -> Record:
        return Record(None, self.values[index], [], None)


class LogSource:
    """Implements `Source` for a sole member; polls take evenly from all partitions."""

    def __init__(self, log: Path, topic: str, labels_topic: str, partitions: int) -> None:
        """Read the whole log into memory, users shared out among the partitions."""
        self._values: dict[Partition, list[bytes | None]] = {
            Partition(name, number): []
            for name in (topic, labels_topic)
            for number in range(partitions)
        }
        for batch in read_log(log):
            keys = message_keys(batch.values)
            for key, value, is_label in zip(keys, batch.values, batch.is_label, strict=True):
                number = crc32(key or b"") % partitions
                name = labels_topic if is_label else topic
                self._values[Partition(name, number)].append(value)
        self._places: dict[Partition, int] = {}
        self._assigned = frozenset(self._values)

    def poll(self, max_messages: int, timeout_seconds: float) -> Poll:  # noqa: ARG002 - never waits
        assigned, self._assigned = self._assigned, frozenset()
        share = max(max_messages // len(self._values), 1)
        chunks = [
            LogChunk(partition, place, self._values[partition][place : place + share])
            for partition, place in self._places.items()
            if place < len(self._values[partition])
        ]
        self._places.update({chunk.partition: chunk.next_offset for chunk in chunks})
        return Poll(list(chunks), assigned, frozenset())

    def seek(self, offsets: Mapping[Partition, int]) -> None:
        self._places.update(offsets)

    def pause(self, partitions: Iterable[Partition]) -> None:
        pass

    def resume(self, partitions: Iterable[Partition]) -> None:
        pass

    def bounds(self, partitions: Iterable[Partition]) -> dict[Partition, tuple[int, int]]:
        return {partition: (0, len(self._values[partition])) for partition in partitions}

    def position(self, partition: Partition) -> int | None:
        return self._places.get(partition)

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        pass

    def partitions(self) -> set[Partition]:
        return set(self._values)

    def topic_ids(self) -> dict[str, str]:
        return {partition.topic: partition.topic for partition in self._values}

    def close(self) -> None:
        pass
