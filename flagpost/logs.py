"""Log files as raw messages: the producer, training and evaluation read a file the same way.

Lines of JSON come out as they are, bad ones too: the consumer judges them. A row of a CSV or
Parquet file comes out as the JSON object that a sender would have written.
"""

import csv
import gzip
import re
import zlib
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import TextIOWrapper
from itertools import compress, islice
from pathlib import Path
from typing import Any, BinaryIO, Self, cast

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from flagpost.errors import UnreadableInput

BATCH_MESSAGES = 10_000
_BATCH_BYTES = 2**21


@dataclass(frozen=True, slots=True)
class LogBatch:
    """Some n messages of a log, in file order.

    Attributes:
        line_numbers: (n,) from 1; of a Parquet file the row numbers.
        values: n raw messages.
        is_label: (n,) true for a label, false for a transaction and for what is neither.
        fraction_done: how much of the file is read, from 0 to 1.
    """

    line_numbers: NDArray[np.int64]
    values: list[bytes]
    is_label: NDArray[np.bool_]
    fraction_done: float

    def part(self, places: slice) -> Self:
        """Return some consecutive messages."""
        return replace(
            self,
            line_numbers=self.line_numbers[places],
            values=self.values[places],
            is_label=self.is_label[places],
        )


def read_log(path: Path) -> Iterator[LogBatch]:
    """Read a log in batches of about 10,000 messages; memory is bounded by the batch.

    The ending tells the form: `.json`, `.jsonl`, `.ndjson` (one object a line), `.csv` (the first
    row names the fields) or `.parquet`; all but Parquet may be compressed (`.gz`). Blocks on the
    disk.

    Raises:
        UnreadableInput: while iterating; the file is missing, empty or not what its ending says.
    """
    endings = [ending.lower() for ending in path.suffixes if ending.lower() != ".gz"]
    read = _READERS.get(endings[-1] if endings else "")
    if read is None:
        raise UnreadableInput(
            f"{path} has an unknown ending; use one of {', '.join(_READERS)}, or .gz after it"
        )
    is_empty = True
    try:
        for batch in read(path):
            is_empty = False
            yield batch
    except (OSError, EOFError, zlib.error) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or _first_line(error)
        raise UnreadableInput(f"{path} cannot be read: {reason}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UnreadableInput(f"{path} is not CSV in UTF-8: {error}") from error
    except pa.ArrowInvalid as error:
        raise UnreadableInput(f"{path} is not a Parquet file: {_first_line(error)}") from error
    if is_empty:
        raise UnreadableInput(f"{path} is empty: it holds no messages")


def _first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0]


@contextmanager
def _open(path: Path) -> Iterator[tuple[BinaryIO, Callable[[], float]]]:
    """Open a file that may be compressed; gives its content and how much of it is read."""
    size_bytes = path.stat().st_size
    with path.open("rb") as stored:
        content = gzip.GzipFile(fileobj=stored) if path.suffix.lower() == ".gz" else stored
        yield cast("BinaryIO", content), lambda: stored.tell() / size_bytes


def _read_json_lines(path: Path) -> Iterator[LogBatch]:
    with _open(path) as (content, fraction_done):
        next_number = 1
        while lines := content.readlines(_BATCH_BYTES):
            if next_number == 1:
                lines[0] = lines[0].removeprefix(BOM_UTF8)
            values = [line.rstrip(b"\r\n") for line in lines]
            numbers = np.arange(next_number, next_number + len(lines))
            next_number += len(lines)
            is_present = np.array([not line.isspace() for line in lines], np.bool_)
            if is_present.any():
                present = compress(values, is_present.tolist())
                yield _batch(numbers[is_present], list(present), fraction_done())


def _read_csv(path: Path) -> Iterator[LogBatch]:
    with _open(path) as (content, fraction_done):
        rows = csv.reader(TextIOWrapper(content, "utf-8-sig", newline=""), strict=True)
        names = next(rows, [])
        if len(set(names)) < len(names):
            raise csv.Error("the first row names a field twice")
        messages = ((rows.line_num, _csv_row_to_json(names, row)) for row in rows if row)
        while batch := list(islice(messages, BATCH_MESSAGES)):
            numbers, values = zip(*batch, strict=True)
            yield _batch(np.array(numbers), list(values), fraction_done())


def _csv_row_to_json(names: list[str], cells: list[str]) -> bytes:
    """Write a row as JSON without its empty cells; a cell too many has no name and is refused."""
    if len(cells) > len(names):
        raise csv.Error(f"a row has {len(cells)} cells, the first row has {len(names)}")
    return msgspec.json.encode(
        {name: _csv_cell(cell) for name, cell in zip(names, cells, strict=False) if cell}
    )


def _csv_cell(cell: str) -> str | bool | msgspec.Raw:
    """Tell by its look what a cell is; `007` is no number in JSON and stays a text."""
    if _PLAIN_NUMBER.fullmatch(cell):
        return msgspec.Raw(cell.encode())
    return _BOOLEANS.get(cell, cell)


_PLAIN_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?", re.ASCII)
_BOOLEANS = {"true": True, "True": True, "false": False, "False": False}


def _read_parquet(path: Path) -> Iterator[LogBatch]:
    with path.open("rb") as stored, pq.ParquetFile(stored) as file:
        rows_read = 0
        for table in file.iter_batches(BATCH_MESSAGES):
            values = messages_of(table)
            numbers = np.arange(rows_read + 1, rows_read + 1 + len(values))
            rows_read += len(values)
            yield _batch(numbers, values, rows_read / file.metadata.num_rows)


def messages_of(table: "pa.RecordBatch") -> list[bytes]:
    """Write each row as the JSON object that a sender would have written; nulls are left out."""
    names = table.schema.names
    columns = [_to_json_types(column).to_pylist() for column in table.columns]
    return [_row_to_json(names, row) for row in zip(*columns, strict=True)]


def _to_json_types(column: "pa.Array[Any]") -> "pa.Array[Any]":
    """Make times UTC in microseconds, and single floats the decimals that they were written as."""
    if pa.types.is_timestamp(column.type):
        return column.cast(pa.timestamp("us", "UTC"), safe=False)
    if pa.types.is_float32(column.type):
        return column.cast(pa.string()).cast(pa.float64())
    return column


def _row_to_json(names: list[str], cells: tuple[Any, ...]) -> bytes:
    return _JSON.encode(
        {name: cell for name, cell in zip(names, cells, strict=True) if cell is not None}
    )


_JSON = msgspec.json.Encoder(decimal_format="number")


def _batch(numbers: NDArray[np.int64], values: list[bytes], fraction_done: float) -> LogBatch:
    is_label = [b'"label"' in value and _is_label(value) for value in values]
    return LogBatch(numbers, values, np.array(is_label, np.bool_), fraction_done)


class _Kind(msgspec.Struct):
    type: str | None = None


_KIND = msgspec.json.Decoder(_Kind)


def _is_label(value: bytes) -> bool:
    try:
        return _KIND.decode(value).type == "label"
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


_READERS: dict[str, Callable[[Path], Iterator[LogBatch]]] = {
    ".json": _read_json_lines,
    ".jsonl": _read_json_lines,
    ".ndjson": _read_json_lines,
    ".csv": _read_csv,
    ".parquet": _read_parquet,
}
