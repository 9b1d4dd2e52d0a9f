"""Tokens of plain JSON, read from raw bytes: no escapes, no exponents, nothing nested.

What is not plain is not necessarily wrong; these functions just do not read it.
"""

import numpy as np
from numpy.typing import NDArray

from flagpost.byte_words import BACKSLASHES, HIGH_BITS, QUOTES, word_at, zero_bytes
from flagpost.compiled import compiled

Bytes = NDArray[np.uint8]

NOT_PLAIN = -1
STRING, INTEGER, DECIMAL, NULL, TRUTH = range(5)
"""Kinds of values. An integer has no fraction, a decimal has one."""

MAX_DIGITS = 18
"""So many always fit a signed number of 64 bits."""

_QUOTE, _MINUS, _POINT, _ZERO, _NINE = (ord(c) for c in '"-.09')
_SPACE, _TAB, _LINE_FEED, _CARRIAGE_RETURN = (ord(c) for c in " \t\n\r")
_BACKSLASH, _E, _CAPITAL_E = ord("\\"), ord("e"), ord("E")
_NULL, _TRUE, _FALSE = (np.frombuffer(word, np.uint8) for word in (b"null", b"true", b"false"))

_WORD_BYTES = 8
_SPACES = np.uint64(0x2020202020202020)


@compiled
def skip_space(text: Bytes, at: int, end: int) -> int:
    """Go to the next byte that is not white space."""
    while at < end and (
        text[at] == _SPACE
        or text[at] == _TAB
        or text[at] == _LINE_FEED
        or text[at] == _CARRIAGE_RETURN
    ):
        at += 1
    return at


@compiled
def end_of_string(text: Bytes, at: int, end: int) -> int:
    """Return where the quote behind a string is that begins at `at`; NOT_PLAIN without one.

    A string with an escape or a control character is not plain.
    """
    while at + _WORD_BYTES <= end:
        word = word_at(text, np.uint64(at))
        # A byte below a space borrows; above the first such byte the marks may be wrong.
        is_control = (word - _SPACES) & ~word & HIGH_BITS
        found = zero_bytes(word ^ QUOTES) | zero_bytes(word ^ BACKSLASHES) | is_control
        if found:
            break
        at += _WORD_BYTES
    while at < end:
        if text[at] == _QUOTE:
            return at
        if text[at] == _BACKSLASH or text[at] < _SPACE:
            return NOT_PLAIN
        at += 1
    return NOT_PLAIN


@compiled
def read_number(text: Bytes, at: int, end: int) -> tuple[int, int, int, int]:
    """Read a number of at most 18 digits.

    Returns:
        Its kind, its digits as one signed number, how many of them are a fraction, and where it
        ends. The kind is NOT_PLAIN for what is no number, has an exponent or too many digits.
    """
    is_negative = text[at] == _MINUS
    if is_negative:
        at += 1
    first, digits = at, 0
    while at < end and _ZERO <= text[at] <= _NINE and at - first <= MAX_DIGITS:
        digits = 10 * digits + (text[at] - _ZERO)
        at += 1
    n_whole, n_fraction = at - first, 0
    if n_whole == 0 or (n_whole > 1 and text[first] == _ZERO):
        return NOT_PLAIN, 0, 0, at
    if at < end and text[at] == _POINT:
        at += 1
        while at < end and _ZERO <= text[at] <= _NINE and n_whole + n_fraction <= MAX_DIGITS:
            digits = 10 * digits + (text[at] - _ZERO)
            n_fraction += 1
            at += 1
        if n_fraction == 0:
            return NOT_PLAIN, 0, 0, at
    has_exponent = at < end and (text[at] == _E or text[at] == _CAPITAL_E)
    if has_exponent or n_whole + n_fraction > MAX_DIGITS:
        return NOT_PLAIN, 0, 0, at
    kind = INTEGER if n_fraction == 0 else DECIMAL
    return kind, -digits if is_negative else digits, n_fraction, at


@compiled
def read_value(text: Bytes, at: int, end: int) -> tuple[int, int, int, int]:
    """Read the value that begins at `at`; like `read_number`, but of every plain kind.

    A string has the number 0, and ends behind its quote.
    """
    if at >= end:
        return NOT_PLAIN, 0, 0, at
    byte = text[at]
    if byte == _QUOTE:
        quote = end_of_string(text, at + 1, end)
        return (NOT_PLAIN if quote == NOT_PLAIN else STRING), 0, 0, quote + 1
    if byte == _MINUS or _ZERO <= byte <= _NINE:
        return read_number(text, at, end)
    return _read_literal(text, at, end)


@compiled
def _read_literal(text: Bytes, at: int, end: int) -> tuple[int, int, int, int]:
    if is_at(text, at, end, _NULL):
        return NULL, 0, 0, at + 4
    if is_at(text, at, end, _TRUE):
        return TRUTH, 0, 0, at + 4
    if is_at(text, at, end, _FALSE):
        return TRUTH, 0, 0, at + 5
    return NOT_PLAIN, 0, 0, at


@compiled
def is_at(text: Bytes, at: int, end: int, word: Bytes) -> bool:
    """Say whether a word stands at a place."""
    if at + word.size > end:
        return False
    for place in range(word.size):  # noqa: SIM110 - compiled, and kernels cannot make generators
        if text[at + place] != word[place]:
            return False
    return True
