import gzip
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flagpost.errors import UnreadableInput
from flagpost.logs import BATCH_MESSAGES, read_log


def messages_of(path: Path) -> list[tuple[int, bytes]]:
    return [
        (number, value)
        for batch in read_log(path)
        for number, value in zip(batch.line_numbers.tolist(), batch.values, strict=True)
    ]


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def write_parquet(path: Path, **columns: "pa.Array[Any]") -> Path:
    pq.write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize("name", ["log.json", "log.jsonl", "log.NDJSON", "2025.01.json"])
def test_lines_come_out_as_they_are(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, b'{"a":1}\n\n  \n{bad \xff\r\n {"b": 2} \n\0')
    expected = [(1, b'{"a":1}'), (4, b"{bad \xff"), (5, b' {"b": 2} '), (6, b"\0")]
    assert messages_of(path) == expected


def test_a_compressed_log_is_read_too(tmp_path: Path) -> None:
    lines = write(tmp_path / "log.json.gz", gzip.compress(b'{"a":1}\n{"a":2}\n', mtime=0))
    assert messages_of(lines) == [(1, b'{"a":1}'), (2, b'{"a":2}')]
    table = write(tmp_path / "log.csv.gz", gzip.compress(b"a\n1\n", mtime=0))
    assert messages_of(table) == [(2, b'{"a":1}')]


def test_the_byte_order_mark_of_a_file_is_no_part_of_its_first_message(tmp_path: Path) -> None:
    lines = write(tmp_path / "log.json", b'\xef\xbb\xbf{"a":1}\n')
    assert messages_of(lines) == [(1, b'{"a":1}')]
    table = write(tmp_path / "log.csv", b"\xef\xbb\xbfa\n1\n")
    assert messages_of(table) == [(2, b'{"a":1}')]


def test_a_line_of_megabytes_comes_through(tmp_path: Path) -> None:
    long = b"x" * 5_000_000
    path = write(tmp_path / "log.json", b"1\n" + long + b"\n3")
    assert messages_of(path) == [(1, b"1"), (2, long), (3, b"3")]


def test_a_long_log_comes_in_batches_with_its_progress(tmp_path: Path) -> None:
    lines = [b'{"transaction_id": "%06d", "note": "%s"}' % (i, b"x" * 180) for i in range(25_000)]
    batches = list(read_log(write(tmp_path / "log.json", b"\n".join(lines))))
    assert [value for batch in batches for value in batch.values] == lines
    assert max(len(batch.values) for batch in batches) <= 2 * BATCH_MESSAGES
    assert batches[1].line_numbers[0] == len(batches[0].values) + 1
    progress = [batch.fraction_done for batch in batches]
    assert progress == sorted(progress)
    assert progress[0] < 0.7
    assert progress[-1] == 1.0


def test_labels_are_told_from_transactions(tmp_path: Path) -> None:
    lines = [
        b'{"type": "label"}',
        b'{"type": "transaction"}',
        b'{"note": "label"}',
        b'{"type":"label", "is_fraud": true}',
        b'{"type": "label"',
        b'"label"',
        b'{"type": ["label"]}',
    ]
    (batch,) = read_log(write(tmp_path / "log.json", b"\n".join(lines)))
    assert batch.is_label.tolist() == [True, False, False, True, False, False, False]


def test_a_csv_row_becomes_an_object(tmp_path: Path) -> None:
    content = (
        "transaction_id,amount,user_id,terminal_id,is_online,type\n"
        '007,12.50,"a ""b"", c\nd",,True,\n'
        "8,-1,\u00e9,1e5,false,label\n"
        "\n"
        "9,3\n"
    )
    (batch,) = read_log(write(tmp_path / "log.csv", content.encode()))
    assert [json.loads(value) for value in batch.values] == [
        {"transaction_id": "007", "amount": 12.5, "user_id": 'a "b", c\nd', "is_online": True},
        {"transaction_id": 8, "amount": -1, "user_id": "\u00e9", "terminal_id": "1e5",
         "is_online": False, "type": "label"},
        {"transaction_id": 9, "amount": 3},
    ]  # fmt: skip
    assert batch.line_numbers.tolist() == [3, 4, 6]
    assert batch.is_label.tolist() == [False, True, False]


def test_a_number_in_a_csv_keeps_its_digits(tmp_path: Path) -> None:
    path = write(tmp_path / "log.csv", b"a,b\n0.10,123456789012345678901234567890\n")
    assert messages_of(path) == [(2, b'{"a":0.10,"b":123456789012345678901234567890}')]


def test_a_parquet_row_becomes_an_object(tmp_path: Path) -> None:
    noon = datetime(2025, 4, 1, 12, tzinfo=UTC)
    path = write_parquet(
        tmp_path / "log.parquet",
        transaction_id=pa.array(["a", "b"]),
        user_id=pa.array([1, None]),
        amount=pa.array([12.34, 5.0], pa.float32()),
        account_balance=pa.array([Decimal("7.10"), None], pa.decimal128(10, 2)),
        timestamp=pa.array([noon, noon.replace(microsecond=250_000)], pa.timestamp("ns", "UTC")),
        seen_at=pa.array([noon.replace(tzinfo=None), None], pa.timestamp("ms")),
        is_online=pa.array([True, False]),
    )
    (batch,) = read_log(path)
    assert batch.values[0] == (
        b'{"transaction_id":"a","user_id":1,"amount":12.34,"account_balance":7.10,'
        b'"timestamp":"2025-04-01T12:00:00Z","seen_at":"2025-04-01T12:00:00Z","is_online":true}'
    )
    assert batch.values[1] == (
        b'{"transaction_id":"b","amount":5.0,"timestamp":"2025-04-01T12:00:00.250000Z",'
        b'"is_online":false}'
    )
    assert batch.line_numbers.tolist() == [1, 2]


def test_a_long_parquet_file_comes_in_batches(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "log.parquet", a=pa.array(range(25_000)))
    batches = list(read_log(path))
    assert [len(batch.values) for batch in batches] == [10_000, 10_000, 5_000]
    assert [batch.fraction_done for batch in batches] == [0.4, 0.8, 1.0]
    assert batches[2].line_numbers[-1] == 25_000


UNREADABLE = [
    ("log.txt", b"{}", "unknown ending; use one of .json"),
    ("log", b"{}", "unknown ending"),
    ("log.json", b"", "it holds no messages"),
    ("log.json", b"\n  \n", "it holds no messages"),
    ("log.csv", b"", "it holds no messages"),
    ("log.csv", b"a,b\n", "it holds no messages"),
    ("log.csv", b"a\n\xff\n", "not CSV in UTF-8"),
    ("log.csv", b'a\n"b\n', "not CSV in UTF-8: unexpected end"),
    ("log.csv", b"a\n1,2\n", "a row has 2 cells, the first row has 1"),
    ("log.csv", b"a,a\n1,2\n", "names a field twice"),
    ("log.json.gz", b"{}\n", "Not a gzipped file"),
    ("log.json.gz", gzip.compress(b"{}", mtime=0)[:-4], "ended before"),
    ("log.json.gz", gzip.compress(b"{}", mtime=0)[:10] + b"\xff" * 20, "cannot be read: Error -3"),
    ("log.parquet", b"", "not a Parquet file"),
    ("log.parquet", b"hello, this is text", "not a Parquet file"),
]


@pytest.mark.parametrize(("name", "content", "complaint"), UNREADABLE)
def test_an_unreadable_file_is_refused(
    tmp_path: Path, name: str, content: bytes, complaint: str
) -> None:
    path = write(tmp_path / name, content)
    with pytest.raises(UnreadableInput, match=complaint) as caught:
        list(read_log(path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_directory_are_refused(tmp_path: Path) -> None:
    for ending in ("json", "csv", "parquet"):
        with pytest.raises(UnreadableInput, match="cannot be read: No such file"):
            list(read_log(tmp_path / f"missing.{ending}"))
    directory = tmp_path / "log.json"
    directory.mkdir()
    with pytest.raises(UnreadableInput, match="cannot be read: Is a directory"):
        list(read_log(directory))


def test_a_parquet_file_without_rows_is_refused(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "log.parquet", a=pa.array([], pa.int64()))
    with pytest.raises(UnreadableInput, match="it holds no messages"):
        list(read_log(path))
