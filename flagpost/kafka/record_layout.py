"""Where the records of a batch stand in its bytes.

    record: length, attributes, timestamp delta, offset delta, key, value, how many headers, headers
    key, value, header's name, header's value: size, or -1 for none, and so many bytes

Numbers are zigzag varints. The attributes are a byte, which is 0 and so a varint, too.
https://kafka.apache.org/documentation/#recordbatch
"""

import numpy as np
from numpy.typing import NDArray

from flagpost.compiled import compiled
from flagpost.core.history import Int64s

NOWHERE = -1
"""The position behind something that does not end within the bytes."""

_LONGEST_VARINT = 10
_DIGITS = 0x7F


@compiled
def find_records(
    content: NDArray[np.uint8],
    position: int,
    base_offset: int,
    offsets: Int64s,
    value_starts: Int64s,
    value_ends: Int64s,
) -> bool:
    """Find n records from `position` on, where n is the size of the last three, which are filled.

    A record without a value has a value start of -1. Returns False unless these n records, and
    nothing else, are in `content`, in the order of their offsets.
    """
    for i in range(offsets.size):
        size, position = _number(content, position)
        end = position + size
        _, position = _number(content, position)
        _, position = _number(content, position)
        delta, position = _number(content, position)
        offsets[i] = base_offset + delta
        if i > 0 and offsets[i] <= offsets[i - 1]:
            return False
        _, position = _field(content, position)
        value_starts[i], position = _field(content, position)
        value_ends[i] = position
        n_headers, position = _number(content, position)
        if n_headers < 0:
            return False
        while n_headers > 0 and position != NOWHERE:
            name_start, position = _field(content, position)
            if name_start == NOWHERE:
                return False
            _, position = _field(content, position)
            n_headers -= 1
        if position == NOWHERE or position != end:
            return False
    return position == content.size


@compiled
def _field(content: NDArray[np.uint8], position: int) -> tuple[int, int]:
    """Return where a field's bytes begin, or -1 for none, and the position behind it."""
    size, position = _number(content, position)
    if size < 0:
        return NOWHERE, position
    return position, _behind(content, position, size)


@compiled
def _number(content: NDArray[np.uint8], position: int) -> tuple[int, int]:
    """Return a number and the position behind it."""
    if position == NOWHERE:
        return 0, NOWHERE
    number = np.uint64(0)
    for place in range(min(_LONGEST_VARINT, content.size - position)):
        byte = content[position + place]
        number |= np.uint64(byte & _DIGITS) << np.uint64(7 * place)
        if place == _LONGEST_VARINT - 1 and byte > 1:
            break
        if byte <= _DIGITS:
            sign = -np.int64(number & np.uint64(1))
            return int(np.int64(number >> np.uint64(1)) ^ sign), position + place + 1
    return 0, NOWHERE


@compiled
def _behind(content: NDArray[np.uint8], position: int, size: int) -> int:
    """Return the position behind so many bytes."""
    if position == NOWHERE or size > content.size - position:
        return NOWHERE
    return position + size


def load_kernel() -> None:
    """Have the kernel compiled or loaded, so that the first fetch does not wait for it."""
    find_records(np.frombuffer(b"0", np.uint8), 0, 0, *np.empty((3, 0), np.int64))
