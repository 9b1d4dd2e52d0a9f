"""The journal's format: accepted messages of one partition as packed columns.

    magic, n, then per column: size code, offset, scale, the n packed numbers

An integer column is stored as (value - offset) / scale in the fewest bytes that hold it: times in
whole seconds need four bytes, not eight. About 40 bytes a transaction, most of them hashes.

Small segments that follow each other can be merged: into what would have been packed at once.
"""

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flagpost.compiled import compiled
from flagpost.core.history import Int64s
from flagpost.plain_json import Bytes

_HEADER = np.dtype([("magic", "S4"), ("n", "<u4")])
_COLUMN = np.dtype([("size", "u1"), ("offset", "<i8"), ("scale", "<u8")])
_HEADER_BYTES, _COLUMN_BYTES = _HEADER.itemsize, _COLUMN.itemsize
_ONE, _ONE_BYTE = np.uint64(1), np.uint64(0xFF)
_UNSIGNED = {size: np.dtype(f"<u{size}") for size in (1, 2, 4, 8)}

SMALL_BYTES = 8_192
"""Some 200 transactions: the row of a smaller segment costs its reader as much as what it holds."""

MERGED_BYTES = 131_072
"""About so large a merged segment may become."""


class Entries(NamedTuple):
    """What the state keeps of n transactions, in offset order.

    `terminal_key` is 0 for a transaction that its terminal shall not show. The ratio and the count
    of high amounts are stored because other members need them for the terminal, and because a
    history that is loaded from the middle could not compute them again.
    """

    user_key: Int64s
    terminal_key: Int64s
    event_time_us: Int64s
    amount_cents: Int64s
    transaction_key: Int64s
    amount_ratio: NDArray[np.float64]
    high_count_14d: Int64s
    is_high: Int64s  # 0 or 1

    def where(self, chosen: NDArray[np.bool_]) -> "Entries":
        """Return the chosen rows, in the same order."""
        columns: Any = (column[chosen] for column in self)
        return Entries(*columns)


class LabelEntries(NamedTuple):
    """What the state keeps of n labels; the time is that of the transaction."""

    terminal_key: Int64s
    event_time_us: Int64s
    transaction_key: Int64s
    known_at_us: Int64s
    is_fraud: Int64s  # 0 or 1

    def where(self, chosen: slice) -> "LabelEntries":
        """Return some consecutive rows."""
        columns: Any = (column[chosen] for column in self)
        return LabelEntries(*columns)


_KINDS: dict[bytes, type[Entries] | type[LabelEntries]] = {b"FPJ1": Entries, b"FPL1": LabelEntries}
_MAGIC = {kind: np.uint64(int.from_bytes(magic, "little")) for magic, kind in _KINDS.items()}


def pack(entries: Entries | LabelEntries) -> bytes:
    """Pack at least one row into bytes."""
    [packed] = pack_each(entries, np.array([entries[0].size]))
    return packed


def pack_each(entries: Entries | LabelEntries, ends: Int64s) -> list[bytes]:
    """Pack consecutive parts of some rows, each by itself.

    Args:
        entries: the rows of all parts.
        ends: (k,) the row behind each part.

    Returns:
        The bytes of each part; none of a part without rows.
    """
    return _packed(type(entries), np.array([column.view(np.int64) for column in entries]), ends)


def merge(segments: bytes) -> bytes:
    """Pack the rows of several segments, given as their bytes one after the other.

    What comes out is what `pack` makes of all rows together. Nearly all of it runs without the
    interpreter lock, however many segments there are.

    Raises:
        ValueError: the bytes are not segments of this version, or of two kinds.
    """
    kind, unread = _kind_of(segments), np.frombuffer(segments, np.uint8)
    n = _count_rows(unread, len(kind._fields))
    if n < 0:
        raise ValueError("not journal segments of one kind, one after the other")
    columns = np.empty((len(kind._fields), n), np.int64)
    _read_rows(unread, columns)
    [packed] = _packed(kind, columns, np.array([n]))
    return packed


def unpack(packed: bytes) -> Entries | LabelEntries:
    """Return the rows that were packed, each number as it was.

    Raises:
        ValueError: the bytes are not a segment of this version.
    """
    kind = _kind_of(packed)
    n = int(np.frombuffer(packed, _HEADER, count=1)[0]["n"])
    columns, place = dict[str, Any](), _HEADER_BYTES
    for name in kind._fields:
        columns[name], place = _unpack_column(packed, place, n)
    if kind is Entries:
        columns["amount_ratio"] = columns["amount_ratio"].view(np.float64)
    return kind(**columns)


def _kind_of(packed: bytes) -> type[Entries] | type[LabelEntries]:
    kind = _KINDS.get(packed[:4])
    if kind is None:
        msg = f"not a journal segment of this version: it begins with {packed[:4]!r}"
        raise ValueError(msg)
    return kind


def _packed(kind: type[Entries] | type[LabelEntries], columns: Int64s, ends: Int64s) -> list[bytes]:
    """Pack parts of (k, n) numbers, with what says of which kind they are."""
    n_columns, n = columns.shape
    n_most = ends.size * (_HEADER_BYTES + n_columns * _COLUMN_BYTES) + 8 * n_columns * n
    packed, packed_ends = np.empty(n_most, np.uint8), np.empty(ends.size, np.int64)
    _pack_parts(columns, ends, _MAGIC[kind], packed, packed_ends)
    bounds = pairwise([0, *packed_ends.tolist()])
    return [packed[start:end].tobytes() for start, end in bounds]


@compiled
def _pack_parts(
    columns: Int64s, ends: Int64s, magic: np.uint64, out: Bytes, packed_ends: Int64s
) -> None:
    first, at = 0, 0
    for part in range(ends.size):
        end = ends[part]
        if first < end:
            _write(out, at, magic, 4)
            _write(out, at + 4, np.uint64(end - first), 4)
            at = _pack_columns(columns, first, end, out, at + _HEADER_BYTES)
        first, packed_ends[part] = end, at


@compiled
def _pack_columns(columns: Int64s, first: int, end: int, out: Bytes, at: int) -> int:
    """Write some rows of (k, n) numbers column by column; return the place behind them."""
    for k in range(columns.shape[0]):
        offset, largest, scale = _reach_of(columns, k, first, end)
        size = _bytes_of(largest // scale)
        out[at] = size
        _write(out, at + 1, np.uint64(offset), 8)
        _write(out, at + 9, scale, 8)
        at += _COLUMN_BYTES
        for row in range(first, end):
            distance = np.uint64(columns[k, row] - offset)
            _write(out, at, distance if scale == _ONE else distance // scale, size)
            at += size
    return at


@compiled
def _reach_of(
    columns: Int64s, k: int, first: int, end: int
) -> tuple[np.int64, np.uint64, np.uint64]:
    """Return the least of some rows, their largest distance from it, and what divides all of them.

    Distances wrap around and are right whatever the signs. Small ones are not worth dividing.
    """
    offset = columns[k, first]
    for row in range(first + 1, end):
        offset = min(offset, columns[k, row])
    largest, divisor = np.uint64(0), np.uint64(0)
    for row in range(first, end):
        distance = np.uint64(columns[k, row] - offset)
        largest = max(largest, distance)
        if divisor != _ONE:
            divisor = _greatest_common_divisor(distance, divisor)
    return offset, largest, divisor if largest > _ONE_BYTE else _ONE


@compiled
def _greatest_common_divisor(a: np.uint64, b: np.uint64) -> np.uint64:
    while b != 0:  # nearly always once: `b` is what divides all numbers before
        a, b = b, a % b
    return a


@compiled
def _bytes_of(largest: np.uint64) -> int:
    size = 1
    while size < 8 and largest >> np.uint64(8 * size) != 0:
        size *= 2
    return size


@compiled
def _write(out: Bytes, at: int, value: np.uint64, size: int) -> None:
    """Write the lowest bytes of a number, the lowest first."""
    for i in range(size):
        out[at + i] = value >> np.uint64(8 * i) & _ONE_BYTE


@compiled
def _count_rows(segments: Bytes, n_columns: int) -> int:
    """Return how many rows are in segments of so many columns; -1 if that is not what it is."""
    at, n_rows = 0, 0
    while at < segments.size:
        if at + _HEADER_BYTES > segments.size or _read(segments, at, 4) != _read(segments, 0, 4):
            return -1
        n: Any = np.int64(_read(segments, at + 4, 4))
        at += _HEADER_BYTES
        for _ in range(n_columns):
            if at + _COLUMN_BYTES > segments.size:
                return -1
            size: Any = np.int64(segments[at])
            if size not in (1, 2, 4, 8):
                return -1
            at += _COLUMN_BYTES + n * size
        n_rows += n
    return n_rows if at == segments.size else -1


@compiled
def _read_rows(segments: Bytes, columns: Int64s) -> None:
    """Read segments, one after the other, into (k, n) numbers."""
    at, first = 0, 0
    while at < segments.size:
        n: Any = np.int64(_read(segments, at + 4, 4))
        at += _HEADER_BYTES
        for k in range(columns.shape[0]):
            size: Any = np.int64(segments[at])
            offset, scale = np.int64(_read(segments, at + 1, 8)), _read(segments, at + 9, 8)
            at += _COLUMN_BYTES
            for row in range(first, first + n):
                columns[k, row] = np.int64(_read(segments, at, size) * scale) + offset
                at += size
        first += n


@compiled
def _read(segments: Bytes, at: int, size: int) -> np.uint64:
    """Read a number of so many bytes, the lowest first."""
    value = np.uint64(0)
    for i in range(size):
        value |= np.uint64(segments[at + i]) << np.uint64(8 * i)
    return value


def _unpack_column(packed: bytes, place: int, n: int) -> tuple[Int64s, int]:
    meta = np.frombuffer(packed, _COLUMN, count=1, offset=place)[0]
    place += _COLUMN_BYTES
    dtype = _UNSIGNED[int(meta["size"])]
    scaled = np.frombuffer(packed, dtype, count=n, offset=place).astype(np.uint64)
    column = (scaled * np.uint64(meta["scale"])).view(np.int64) + meta["offset"]
    return column, place + n * dtype.itemsize
