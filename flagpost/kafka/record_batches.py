"""How records are read with kafka-python: a batch at a time, and not each as an object.

By itself the client unpacks every record into a dozen Python objects, which costs more than all
that Flagpost does with it. Here a kernel finds where offsets and values stand. What else a record
carries is unpacked by the client when somebody wants to see it: for dead letters.

Fetching, checksums, decompression and aborted transactions stay the client's, too: to it a batch
looks as if it held a single record, whose value is all of them.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from kafka.consumer.fetcher import ConsumerRecord, Fetcher
from kafka.errors import CorruptRecordError, KafkaError
from kafka.record.abc import ABCRecord, ABCRecordBatch, ABCRecords
from kafka.record.default_records import DefaultRecordBatch
from kafka.record.legacy_records import LegacyRecordBatch
from kafka.structs import TopicPartition

from flagpost.core.history import Int64s
from flagpost.kafka.record_layout import find_records


class Whole(Protocol):
    """Records with everything they carry, by their offsets."""

    def __getitem__(self, offset: int, /) -> ABCRecord: ...


@dataclass(frozen=True, slots=True)
class Records:
    """Consecutive records of one batch, in offset order.

    There may be gaps between offsets, which compaction leaves.
    """

    offsets: Int64s  # (n,)
    values: list[bytes | None]
    whole: Whole

    def __len__(self) -> int:
        return len(self.values)

    def part(self, chosen: slice) -> "Records":
        """Return the chosen ones."""
        return Records(self.offsets[chosen], self.values[chosen], self.whole)


class PartitionBatches(Fetcher.PartitionRecords):
    """What a fetch brought of a partition; takes the place of the client's class.

    `take` returns the client's records, but each has `Records` as its value: those of a batch from
    the offset on that was asked for. It raises CorruptRecordError where a batch is none.
    """

    def _unpack_records(
        self, partition: TopicPartition, records: ABCRecords, *_deserializers: object
    ) -> Iterator[ABCRecord]:
        batches = _Batches(records, self.fetch_offset)
        unpacked: Iterator[ABCRecord] = super()._unpack_records(partition, batches, None, None)
        return unpacked

    def take(self, n: int | None = None) -> list[ConsumerRecord]:
        """Return what there is up to the end or to a damaged batch; then raise.

        The client would keep what is left behind the damage, never finish it, and go round in
        circles if the partition was paused meanwhile. Here it is fetched and refused again.
        """
        try:
            taken: list[ConsumerRecord] = super().take(n)
        except KafkaError:
            self.drain()
            raise
        return taken


class _Batches:
    """The batches of a fetch."""

    def __init__(self, records: ABCRecords, first_offset: int) -> None:
        self._records = records
        self._first_offset = first_offset

    def next_batch(self) -> Any:  # noqa: ANN401 - one of the client's, or what looks like one
        batch = self._records.next_batch()
        if batch is None or (batch.magic >= 2 and batch.is_control_batch):
            return batch
        return _BatchAsRecord(batch, self._first_offset)


class _BatchAsRecord:
    """A batch of the client that seems to hold one record."""

    def __init__(self, batch: Any, first_offset: int) -> None:  # noqa: ANN401
        self._batch = batch
        self._first_offset = first_offset

    def __getattr__(self, name: str) -> object:
        return getattr(self._batch, name)

    def __iter__(self) -> Iterator["_Record"]:
        is_legacy = isinstance(self._batch, LegacyRecordBatch)
        records = read_legacy(self._batch) if is_legacy else read(self._batch)
        if records and records.offsets[0] < self._first_offset:  # a fetch brings whole batches
            first = int(np.searchsorted(records.offsets, self._first_offset))
            records = records.part(slice(first, None))
        if records:
            yield _Record(records, self._batch.size_in_bytes)


class _Record:
    """Has what the client looks at in a record."""

    key = None
    headers = ()
    timestamp = -1
    timestamp_type = 0
    checksum = None

    def __init__(self, records: Records, size_in_bytes: int) -> None:
        self.value = records
        self.offset = int(records.offsets[-1])
        self.size_in_bytes = size_in_bytes

    def validate_crc(self) -> bool:
        """Return whether it is sound; the checksum is that of the batch and has been looked at."""
        return True


def read(batch: DefaultRecordBatch) -> Records:
    """Read all records of a batch, whose checksum is right.

    Raises:
        CorruptRecordError: it is made up otherwise than its head says.
    """
    packed = batch._buffer  # noqa: SLF001
    try:
        batch._maybe_uncompress()  # noqa: SLF001 - the client does it when it iterates
    except KafkaError:
        raise
    except Exception as error:  # each codec has errors of its own
        raise _corrupt(batch, f"cannot be decompressed: {error!r}") from error
    content = bytes(batch._buffer)  # noqa: SLF001
    n = batch.records_count
    n_possible = n if 0 <= n <= len(content) else 0
    offsets, value_starts, value_ends = np.empty((3, n_possible), np.int64)
    if n_possible != n or not find_records(
        np.frombuffer(content, np.uint8),
        batch._pos,  # noqa: SLF001
        batch.base_offset,
        offsets,
        value_starts,
        value_ends,
    ):
        raise _corrupt(batch, "is not made up as it says")
    values = [
        content[start:end] if start >= 0 else None
        for start, end in zip(value_starts.tolist(), value_ends.tolist(), strict=True)
    ]
    return Records(offsets, values, _Packed(packed))


class _Packed:
    """A batch that the client unpacks when its first record is asked for."""

    def __init__(self, packed: bytearray) -> None:
        self._packed = packed
        self._records: dict[int, ABCRecord] = {}

    def __getitem__(self, offset: int) -> ABCRecord:
        if not self._records:
            self._records = _by_offset(DefaultRecordBatch(self._packed))
        return self._records[offset]


def read_legacy(batch: LegacyRecordBatch) -> Records:
    """Read all records of a batch from before Kafka 0.11, as the client does.

    Raises:
        CorruptRecordError: a checksum is wrong, or offsets do not rise.
    """
    records = list(batch)
    offsets = np.array([record.offset for record in records], np.int64)
    if not all(record.validate_crc() for record in records) or np.any(np.diff(offsets) <= 0):
        raise _corrupt(batch, "has a record that fails its checksum, or is out of order")
    return Records(offsets, [record.value for record in records], _by_offset(records))


def _by_offset(records: Iterable[ABCRecord]) -> dict[int, ABCRecord]:
    return {record.offset: record for record in records}


def _corrupt(batch: ABCRecordBatch, problem: str) -> CorruptRecordError:
    return CorruptRecordError(f"the batch at offset {batch.base_offset} {problem}")
