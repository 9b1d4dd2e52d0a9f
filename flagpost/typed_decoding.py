"""Decoding of any JSON message: a typed decoder first, and a close look at whatever seems odd."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol, Self, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from flagpost.bad_messages import BadMessage, Problem
from flagpost.byte_words import in_a_row
from flagpost.inspection import MAX_MESSAGE_BYTES
from flagpost.repeated_fields import find_repeated_fields


class Columns(Protocol):
    """The columns of some kind of message."""

    def take(self, keep: NDArray[np.bool_]) -> Self:
        """Keep the rows where the (n,) mask is true."""


C = TypeVar("C", bound=Columns)

ToColumns = Callable[[Sequence[Any], NDArray[np.int64]], tuple[C, NDArray[np.bool_]]]
"""Turns n decoded messages with their places into columns, and says of each if it seems odd."""


def decode_typed(
    values: Sequence[bytes | None],
    message_index: NDArray[np.int64],
    decode_one: Callable[[Any], Any],
    to_columns: ToColumns[C],
    find_problem: Callable[[bytes | None], Problem | None],
) -> tuple[C, list[BadMessage]]:
    """Turn messages into columns, and tell what is wrong with the others.

    Args:
        values: n raw messages; None is a tombstone.
        message_index: (n,) the places by which they shall be known.
        decode_one: decodes a message or raises.
        to_columns: see there.
        find_problem: has the last word on a message that seems odd.
    """
    decoded, readable = decode_each(decode_one, values)
    places = np.flatnonzero(readable)
    columns, is_row_odd = to_columns(decoded, message_index[places])
    is_odd = ~readable | _find_odd_bytes(values)
    is_odd[places[is_row_odd]] = True
    problems = ((place, find_problem(values[place])) for place in np.flatnonzero(is_odd).tolist())
    bad = [BadMessage(place, *problem) for place, problem in problems if problem]
    is_good = np.ones(len(values), np.bool_)
    is_good[[message.message_index for message in bad]] = False
    return columns.take(is_good[places]), [
        replace(message, message_index=int(message_index[message.message_index])) for message in bad
    ]


_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, TypeError)
"""What the decoder raises for a bad message; TypeError is for a tombstone."""


def decode_each(
    decode: Callable[[Any], Any], values: Sequence[bytes | None]
) -> tuple[list[Any], NDArray[np.bool_]]:
    """Decode n messages; returns the readable ones and (n,) which they are.

    `extend` keeps what it has when a message fails, and the iterator stands behind that message.
    This saves the cost of a loop in Python.
    """
    decoded: list[Any] = []
    readable = np.ones(len(values), np.bool_)
    failures = 0
    rest = iter(values)
    while len(decoded) + failures < len(values):
        try:
            decoded.extend(map(decode, rest))
        except _UNREADABLE:
            readable[len(decoded) + failures] = False
            failures += 1
    return decoded, readable


def _find_odd_bytes(values: Sequence[bytes | None]) -> NDArray[np.bool_]:
    """Look at the raw bytes for what the decoder does not see."""
    text, offsets = in_a_row(values)
    is_odd = find_repeated_fields(text, offsets)
    is_odd |= np.diff(offsets) > MAX_MESSAGE_BYTES
    is_odd |= ~are_utf8(values, text)
    return is_odd


def are_utf8(values: Sequence[bytes | None], text: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Say of n messages, given one by one and in a row, which are UTF-8."""
    if text.max(initial=0) < 0x80:  # ASCII
        return np.ones(len(values), np.bool_)
    return np.array([_is_utf8(value or b"") for value in values], np.bool_)


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
