"""Batches are read at once, and as the client reads them record by record."""

import struct
from unittest.mock import MagicMock

import numpy as np
import pytest
from crc32c import crc32c
from hypothesis import given
from hypothesis import strategies as st
from kafka.consumer.fetcher import ConsumerRecord, Fetcher
from kafka.errors import CorruptRecordError
from kafka.record import MemoryRecords
from kafka.record.abc import ABCRecord
from kafka.record.default_records import DefaultRecordBatch
from kafka.record.memory_records import MemoryRecordsBuilder
from kafka.structs import TopicPartition

from flagpost.kafka.record_batches import PartitionBatches, Records, read, read_legacy

PARTITION = TopicPartition("transactions", 0)
CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
HEAD_BYTES = DefaultRecordBatch.HEADER_STRUCT.size
FIRST_OFFSET = 1_000

Entry = tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]
"""Key, value and headers."""

Content = tuple[int, int, bytes | None, bytes | None, list[tuple[str, bytes | None]]]
"""Offset, time, key, value and headers."""

ENTRIES: list[Entry] = [
    (b"C1", b'{"amount":1}', []),
    (None, b"", [("trace", b"1"), ("empty", b""), ("none", None)]),
    (b"", None, []),
    (b"C2", b"x" * 300, [("\u00fc" * 70, b"y" * 200)]),
]


def batch_of(
    entries: list[Entry], codec: int = 0, magic: int = 2, offset: int = FIRST_OFFSET
) -> bytes:
    builder = MemoryRecordsBuilder(magic, codec, batch_size=1 << 24, offset=offset)
    for number, (key, value, headers) in enumerate(entries):
        builder.append(1_700_000_000_000 + number, key, value, headers)
    builder.close()
    return bytes(builder.buffer())


def sound(batch: bytes, content: bytes) -> bytes:
    """Put other records into an uncompressed batch, with the length and checksum that fit."""
    head = bytearray(batch[:HEAD_BYTES])
    struct.pack_into(">i", head, 8, len(head) + len(content) - DefaultRecordBatch.AFTER_LEN_OFFSET)
    checked = bytes(head[DefaultRecordBatch.ATTRIBUTES_OFFSET :]) + content
    struct.pack_into(">I", head, DefaultRecordBatch.CRC_OFFSET, crc32c(checked))
    return bytes(head) + content


def saying(n_records: int, batch: bytes) -> bytes:
    """Let the head of a batch tell another number of records."""
    return batch[: HEAD_BYTES - 4] + struct.pack(">i", n_records) + batch[HEAD_BYTES:]


def taken(fetched: bytes, fetch_offset: int = FIRST_OFFSET) -> tuple[list[Content], int]:
    """Read it with Flagpost's class; records with all they carry, and the next offset."""
    partition = PartitionBatches(fetch_offset, PARTITION, MemoryRecords(fetched))
    found: list[Records] = [record.value for record in _all(partition)]
    records = []
    for batch in found:
        whole = [batch.whole[int(offset)] for offset in batch.offsets]
        assert batch.values == [record.value for record in whole]
        assert batch.offsets.tolist() == [record.offset for record in whole]
        records += whole
    return [_content(record) for record in records], partition.next_fetch_offset


def expected(fetched: bytes, fetch_offset: int = FIRST_OFFSET) -> tuple[list[Content], int]:
    """Read it with the client's own class."""
    partition = Fetcher.PartitionRecords(fetch_offset, PARTITION, MemoryRecords(fetched))
    return [_content(record) for record in _all(partition)], partition.next_fetch_offset


def _all(partition: Fetcher.PartitionRecords) -> list[ConsumerRecord]:
    """What stands before a corrupt record is given out first; who asks again hears of it."""
    records = []
    while partition:
        records += partition.take()
    return records


def _content(record: ABCRecord | ConsumerRecord) -> Content:
    return record.offset, record.timestamp, record.key, record.value, list(record.headers)


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
def test_everything_a_record_carries_is_read(codec: int) -> None:
    fetched = batch_of(ENTRIES, codec) + batch_of(ENTRIES * 50, codec, offset=FIRST_OFFSET + 10)

    records, next_offset = taken(fetched)

    assert (records, next_offset) == expected(fetched)
    assert [record[2:] for record in records[:4]] == [tuple(entry) for entry in ENTRIES]
    assert next_offset == FIRST_OFFSET + 210


@pytest.mark.parametrize("magic", [0, 1])
@pytest.mark.parametrize("codec", [0, 1], ids=["none", "gzip"])
def test_old_formats_are_read(magic: int, codec: int) -> None:
    fetched = batch_of([(b"C1", b"a", []), (None, None, [])], codec, magic, offset=0)

    assert taken(fetched, 0) == expected(fetched, 0)


@pytest.mark.parametrize("fetch_offset", [FIRST_OFFSET, FIRST_OFFSET + 2, FIRST_OFFSET + 5])
@pytest.mark.parametrize("magic", [1, 2])
def test_a_fetch_begins_in_the_middle_of_a_batch(fetch_offset: int, magic: int) -> None:
    entries: list[Entry] = [(None, str(number).encode(), []) for number in range(4)]
    behind = batch_of(entries, 1, magic, FIRST_OFFSET + 4)
    fetched = batch_of(entries, 1, magic) + behind

    records, _ = taken(fetched, fetch_offset)

    assert (records, FIRST_OFFSET + 8) == expected(fetched, fetch_offset)
    assert records[0][0] == fetch_offset


def test_an_old_compressed_batch_has_the_offset_of_its_last_record() -> None:
    inside: list[Entry] = [(None, str(number).encode(), []) for number in range(4)]
    fetched = struct.pack(">q", FIRST_OFFSET + 3) + batch_of(inside, 1, 1, offset=0)[8:]

    records, _ = taken(fetched, FIRST_OFFSET + 2)

    assert [record[0] for record in records] == [FIRST_OFFSET + 2, FIRST_OFFSET + 3]
    assert records == expected(fetched, FIRST_OFFSET + 2)[0]


def test_offsets_have_gaps_where_a_topic_was_compacted() -> None:
    builder = MemoryRecordsBuilder(2, 0, batch_size=1 << 20, offset=FIRST_OFFSET)
    for value in (b"a", b"b", b"c"):
        builder.append(1, None, value)
        builder.skip(3)
    builder.close()

    records, next_offset = taken(bytes(builder.buffer()))

    assert [record[0] for record in records] == [FIRST_OFFSET, FIRST_OFFSET + 4, FIRST_OFFSET + 8]
    assert next_offset == expected(bytes(builder.buffer()))[1]


def test_a_part_of_a_batch_knows_its_records() -> None:
    records = read(MemoryRecords(batch_of(ENTRIES)).next_batch()).part(slice(1, 3))

    assert len(records) == 2
    assert records.values == [b"", None]
    assert records.whole[int(records.offsets[0])].headers == ENTRIES[1][2]


def test_a_batch_that_fails_its_checksum_is_refused_behind_those_that_do_not() -> None:
    broken = bytearray(batch_of(ENTRIES, offset=FIRST_OFFSET + 4))
    broken[-1] ^= 1
    partition = PartitionBatches(
        FIRST_OFFSET, PARTITION, MemoryRecords(batch_of(ENTRIES) + bytes(broken))
    )

    assert len(partition.take()) == 1
    assert partition.next_fetch_offset == FIRST_OFFSET + 4
    with pytest.raises(CorruptRecordError, match="crc"):
        partition.take()


@pytest.mark.parametrize("codec", [1, 2, 3, 4], ids=[*CODECS][1:])
def test_what_cannot_be_decompressed_is_damaged(codec: int) -> None:
    batch = batch_of(ENTRIES * 20, codec)

    with pytest.raises(CorruptRecordError):  # what zstd gives of a part is too short
        taken(sound(batch, batch[HEAD_BYTES:][:-20]))


def test_nothing_is_kept_of_a_damaged_batch() -> None:
    """The client would go round in circles, if its partition was paused before anybody looked."""
    fetched = batch_of(ENTRIES) + sound(
        saying(3, batch_of(ENTRIES)), batch_of(ENTRIES)[HEAD_BYTES:]
    )
    partition = PartitionBatches(FIRST_OFFSET, PARTITION, MemoryRecords(fetched))
    partition.take()

    with pytest.raises(CorruptRecordError):
        partition.take()

    assert not partition


def test_old_records_with_the_same_offset_are_refused() -> None:
    [record] = MemoryRecords(batch_of([(None, b"a", [])], 0, 1)).next_batch()
    batch = MagicMock(base_offset=FIRST_OFFSET)
    batch.__iter__.return_value = [record, record]

    with pytest.raises(CorruptRecordError, match="out of order"):
        read_legacy(batch)


@given(st.data())
def test_content_that_is_none_is_refused_as_by_the_client(data: st.DataObject) -> None:
    """The checksum is right, so a producer has written it so."""
    batch = batch_of(ENTRIES)
    content = bytearray(batch[HEAD_BYTES:])
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    kept = bytes(content[: data.draw(st.integers(0, len(content)))])
    fetched = sound(batch, data.draw(st.sampled_from([bytes(content), kept])))

    try:
        wanted = expected(fetched)
        offsets = [record[0] for record in wanted[0]]
        is_read = offsets == sorted(set(offsets))  # the client does not look at that
    except CorruptRecordError:
        is_read = False
    if is_read:
        assert taken(fetched) == wanted
    else:
        with pytest.raises(CorruptRecordError):
            taken(fetched)


def test_a_batch_without_records_is_passed() -> None:
    fetched = sound(saying(0, batch_of(ENTRIES)), b"")

    assert taken(fetched) == ([], FIRST_OFFSET + len(ENTRIES))


@pytest.mark.parametrize("n_records", [-1, 3, 5, np.iinfo(np.int32).max])
def test_a_number_of_records_that_is_not_so_is_refused(n_records: int) -> None:
    batch = batch_of(ENTRIES)

    with pytest.raises(CorruptRecordError):
        taken(sound(saying(n_records, batch), batch[HEAD_BYTES:]))
