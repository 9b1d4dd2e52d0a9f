"""Finds what JSON decoders let through in silence: a field given twice, and deep nesting.

A decoder takes the last of two `"amount"` fields, so two readers can disagree on what a message
says. This walks the raw bytes of a whole batch, eight at a time within strings.
"""

import numpy as np
from numpy.typing import NDArray

from flagpost.byte_words import BACKSLASHES, LOW_BITS, QUOTES, word_at, zero_bytes
from flagpost.compiled import compiled

MAX_DEPTH = 64
_MAX_FIELDS = 64

_ONE = np.uint64(1)
_WORD_BYTES = np.uint64(8)

_QUOTE, _BACKSLASH, _COMMA = ord('"'), ord("\\"), ord(",")
_OPEN_BRACE, _OPEN_BRACKET, _CLOSE_BRACE, _CLOSE_BRACKET = (ord(c) for c in "{[}]")
_IN_BETWEEN, _STRING, _NEXT, _OPEN, _CLOSE = range(5)


def _classify_bytes() -> NDArray[np.uint8]:
    classes = np.full(256, _IN_BETWEEN, np.uint8)
    classes[_QUOTE] = _STRING
    classes[_COMMA] = _NEXT
    classes[[_OPEN_BRACE, _OPEN_BRACKET]] = _OPEN
    classes[[_CLOSE_BRACE, _CLOSE_BRACKET]] = _CLOSE
    return classes


_BYTE_CLASS = _classify_bytes()


def find_repeated_fields(
    messages: NDArray[np.uint8], offsets: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Mark the messages that may repeat a field of their top level, or nest deeper than 64.

    Exact for what is JSON, but for names written with escapes and more than 64 fields: those are
    marked to be looked at. What is not JSON may get either answer.

    Args:
        messages: the bytes of n messages in a row.
        offsets: (n + 1,) where each begins, and where the last one ends.

    Returns:
        (n,) true where a message has to be looked at.
    """
    marked = np.zeros(len(offsets) - 1, np.bool_)
    starts, lengths = np.empty(_MAX_FIELDS, np.uint64), np.empty(_MAX_FIELDS, np.uint64)
    _mark_doubtful(messages, offsets, starts, lengths, marked)
    return marked


@compiled
def _mark_doubtful(
    messages: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    starts: NDArray[np.uint64],
    lengths: NDArray[np.uint64],
    marked: NDArray[np.bool_],
) -> None:
    for row in range(len(marked)):
        at, end = np.uint64(offsets[row]), np.uint64(offsets[row + 1])
        marked[row] = _is_doubtful(messages, at, end, starts, lengths)


@compiled
def _is_doubtful(
    text: NDArray[np.uint8],
    at: np.uint64,
    end: np.uint64,
    starts: NDArray[np.uint64],
    lengths: NDArray[np.uint64],
) -> bool:
    depth = 0
    fields = 0
    seen = np.uint64(0)
    is_name_next = False
    while at < end:
        byte_class = _BYTE_CLASS[text[at]]
        at += _ONE
        if byte_class == _IN_BETWEEN:
            continue
        if byte_class == _STRING:
            start = at
            at = _end_of_string(text, at, end)
            if is_name_next:
                if fields == _MAX_FIELDS or at >= end or text[at] == _BACKSLASH:
                    return True
                bit = _name_bit(text, start, at)
                starts[fields], lengths[fields] = start, at - start
                if seen & bit and _repeats_an_earlier_one(text, starts, lengths, fields):
                    return True
                seen |= bit
                fields += 1
                is_name_next = False
            at = _skip_escapes(text, at, end) + _ONE
        elif byte_class == _NEXT:
            is_name_next = depth == 1
        elif byte_class == _OPEN:
            depth += 1
            is_name_next = depth == 1
            if depth > MAX_DEPTH:
                return True
        else:
            depth -= 1
    return False


@compiled
def _end_of_string(text: NDArray[np.uint8], at: np.uint64, end: np.uint64) -> np.uint64:
    """Go to the next quote or backslash, or to the end."""
    while at + _WORD_BYTES <= end:
        word = word_at(text, at)
        found = zero_bytes(word ^ QUOTES) | zero_bytes(word ^ BACKSLASHES)
        if found:
            return at + _first_marked_byte(found)
        at += _WORD_BYTES
    while at < end and text[at] != _QUOTE and text[at] != _BACKSLASH:
        at += _ONE
    return at


@compiled
def _skip_escapes(text: NDArray[np.uint8], at: np.uint64, end: np.uint64) -> np.uint64:
    """Go on from a backslash to the quote that ends the string."""
    while at < end and text[at] == _BACKSLASH:
        at = _end_of_string(text, at + np.uint64(2), end)
    return at


@compiled
def _first_marked_byte(marks: np.uint64) -> np.uint64:
    """Count the bytes below the lowest mark: each puts a one into the top byte of the product."""
    below = (marks & (~marks + _ONE)) - _ONE
    return (((below >> np.uint64(7)) & LOW_BITS) * LOW_BITS) >> np.uint64(56)


@compiled
def _name_bit(text: NDArray[np.uint8], start: np.uint64, end: np.uint64) -> np.uint64:
    """One of 64 bits, chosen by the name's ends and length: the same for equal names."""
    if start == end:
        return _ONE
    mixed = (
        np.uint64(text[start]) * np.uint64(0x9E3779B97F4A7C15)
        + np.uint64(text[end - _ONE]) * np.uint64(0xC2B2AE3D27D4EB4F)
        + (end - start) * np.uint64(0x165667B19E3779F9)
    )
    return _ONE << (mixed >> np.uint64(58))


@compiled
def _repeats_an_earlier_one(
    text: NDArray[np.uint8],
    starts: NDArray[np.uint64],
    lengths: NDArray[np.uint64],
    newest: int,
) -> bool:
    for earlier in range(newest):
        if lengths[earlier] == lengths[newest]:
            place = np.uint64(0)
            while (
                place < lengths[newest]
                and text[starts[earlier] + place] == text[starts[newest] + place]
            ):
                place += _ONE
            if place == lengths[newest]:
                return True
    return False
