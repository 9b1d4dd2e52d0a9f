"""The journal's format: accepted messages of one partition as packed columns.

    magic, n, then per column: size code, offset, scale, the n packed numbers

An integer column is stored as (value - offset) / scale in the fewest bytes that hold it: times in
whole seconds need four bytes, not eight. About 40 bytes a transaction, most of them hashes.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flagpost.compiled import compiled
from flagpost.core.history import Int64s
from flagpost.plain_json import Bytes

_HEADER = np.dtype([("magic", "S4"), ("n", "<u4")])
_COLUMN = np.dtype([("size", "u1"), ("offset", "<i8"), ("scale", "<u8")])
_COLUMN_BYTES = _COLUMN.itemsize
_ONE, _ONE_BYTE = np.uint64(1), np.uint64(0xFF)
_UNSIGNED = {size: np.dtype(f"<u{size}") for size in (1, 2, 4, 8)}


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
_MAGIC = {kind: magic for magic, kind in _KINDS.items()}


def pack(entries: Entries | LabelEntries) -> bytes:
    """Pack at least one row into bytes."""
    n = entries.event_time_us.size
    header = np.array([(_MAGIC[type(entries)], n)], _HEADER)
    columns = np.array([column.view(np.int64) for column in entries])
    packed = np.empty(len(entries) * (_COLUMN.itemsize + 8 * n), np.uint8)
    n_bytes = _pack_columns(columns, columns.min(axis=1), packed)
    return header.tobytes() + packed[:n_bytes].tobytes()


def unpack(packed: bytes) -> Entries | LabelEntries:
    """Return the rows that were packed, each number as it was.

    Raises:
        ValueError: the bytes are not a segment of this version.
    """
    header = np.frombuffer(packed, _HEADER, count=1)[0]
    kind = _KINDS.get(header["magic"])
    if kind is None:
        msg = f"not a journal segment of this version: it begins with {packed[:4]!r}"
        raise ValueError(msg)
    columns, place = dict[str, Any](), _HEADER.itemsize
    for name in kind._fields:
        columns[name], place = _unpack_column(packed, place, int(header["n"]))
    if kind is Entries:
        columns["amount_ratio"] = columns["amount_ratio"].view(np.float64)
    return kind(**columns)


@compiled
def _pack_columns(columns: Int64s, offsets: Int64s, out: Bytes) -> int:
    """Write (k, n) numbers column by column, by their (k,) least; return how many bytes it took."""
    at = 0
    for k in range(columns.shape[0]):
        offset = offsets[k]
        largest, scale = _reach_of(columns, k, offset)
        size = _bytes_of(largest // scale)
        out[at] = size
        _write(out, at + 1, np.uint64(offset), 8)
        _write(out, at + 9, scale, 8)
        at += _COLUMN_BYTES
        for row in range(columns.shape[1]):
            distance = np.uint64(columns[k, row] - offset)
            _write(out, at, distance if scale == _ONE else distance // scale, size)
            at += size
    return at


@compiled
def _reach_of(columns: Int64s, k: int, offset: int) -> tuple[np.uint64, np.uint64]:
    """Return a column's largest distance from the offset, and a number that divides all of them.

    Distances wrap around and are right whatever the signs. Small ones are not worth dividing.
    """
    largest, divisor = np.uint64(0), np.uint64(0)
    for row in range(columns.shape[1]):
        distance = np.uint64(columns[k, row] - offset)
        largest = max(largest, distance)
        if divisor != _ONE:
            divisor = _greatest_common_divisor(distance, divisor)
    return largest, divisor if largest > _ONE_BYTE else _ONE


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


def _unpack_column(packed: bytes, place: int, n: int) -> tuple[Int64s, int]:
    meta = np.frombuffer(packed, _COLUMN, count=1, offset=place)[0]
    place += _COLUMN.itemsize
    dtype = _UNSIGNED[int(meta["size"])]
    scaled = np.frombuffer(packed, dtype, count=n, offset=place).astype(np.uint64)
    column = (scaled * np.uint64(meta["scale"])).view(np.int64) + meta["offset"]
    return column, place + n * dtype.itemsize
