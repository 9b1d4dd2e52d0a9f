"""The journal's format: accepted messages of one partition as packed columns.

    magic, n, then per column: size code, offset, scale, the n packed numbers

An integer column is stored as (value - offset) / scale in the fewest bytes that hold it: times in
whole seconds need four bytes, not eight. About 40 bytes a transaction, most of them hashes.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flagpost.core.history import Int64s

_HEADER = np.dtype([("magic", "S4"), ("n", "<u4")])
_COLUMN = np.dtype([("size", "u1"), ("offset", "<i8"), ("scale", "<u8")])
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
    header = np.array([(_MAGIC[type(entries)], entries.event_time_us.size)], _HEADER)
    columns = (_pack_column(column.view(np.int64)) for column in entries)
    return header.tobytes() + b"".join(columns)


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


def _pack_column(column: Int64s) -> bytes:
    offset = column.min()
    distance = (column - offset).view(np.uint64)  # wraps to the true distance, whatever the signs
    scale = max(int(np.gcd.reduce(distance)), 1) if distance.max() > 0xFF else 1
    scaled = distance // np.uint64(scale) if scale > 1 else distance
    size = np.min_scalar_type(scaled.max()).itemsize
    meta = np.array([(size, offset, scale)], _COLUMN)
    return meta.tobytes() + scaled.astype(_UNSIGNED[size]).tobytes()


def _unpack_column(packed: bytes, place: int, n: int) -> tuple[Int64s, int]:
    meta = np.frombuffer(packed, _COLUMN, count=1, offset=place)[0]
    place += _COLUMN.itemsize
    dtype = _UNSIGNED[int(meta["size"])]
    scaled = np.frombuffer(packed, dtype, count=n, offset=place).astype(np.uint64)
    column = (scaled * np.uint64(meta["scale"])).view(np.int64) + meta["offset"]
    return column, place + n * dtype.itemsize
