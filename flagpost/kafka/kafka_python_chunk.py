"""What a poll of kafka-python brings of a partition."""

from bisect import bisect_left
from dataclasses import dataclass
from typing import Self

import numpy as np
from kafka.errors import KafkaError

from flagpost.core.history import Int64s
from flagpost.events import Partition
from flagpost.kafka.kafka_python_errors import translated
from flagpost.kafka.record_batches import Records
from flagpost.kafka.source import Record


@dataclass(frozen=True, slots=True)
class KafkaPythonChunk:
    """The records of one partition, in the batches in which they were fetched."""

    partition: Partition
    batches: list[Records]
    offsets: Int64s  # (n,)
    values: list[bytes | None]

    @classmethod
    def of(cls, partition: Partition, batches: list[Records]) -> Self:
        """Bring batches that follow each other together."""
        offsets = np.concatenate([batch.offsets for batch in batches])
        return cls(partition, batches, offsets, [v for batch in batches for v in batch.values])

    @property
    def next_offset(self) -> int:
        """The last record's offset + 1."""
        return int(self.offsets[-1]) + 1

    def offset(self, index: int) -> int:
        """The offset of record `index`."""
        return int(self.offsets[index])

    def record(self, index: int) -> Record:
        """Record `index` with everything it carries.

        Raises:
            MustStop: what it carries besides its value is damaged.
        """
        offset = self.offset(index)
        last_offsets = [int(batch.offsets[-1]) for batch in self.batches]
        batch = self.batches[bisect_left(last_offsets, offset)]
        try:
            record = batch.whole[offset]
        except KafkaError as error:
            partition = f"{self.partition.topic}[{self.partition.number}]"
            raise translated(error, f"reading {partition} at offset {offset}") from error
        timestamp_ms = record.timestamp if record.timestamp is not None else -1
        return Record(
            key=record.key,
            value=record.value,
            headers=list(record.headers),
            timestamp_ms=timestamp_ms if timestamp_ms >= 0 else None,
        )
