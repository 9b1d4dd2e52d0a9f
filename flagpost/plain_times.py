"""Times of the plain form `2025-01-03T18:18:23.5Z`, read from raw bytes."""

import numpy as np
from numpy.typing import NDArray

from flagpost.compiled import compiled
from flagpost.plain_json import Bytes

UNREADABLE_TIME = np.iinfo(np.int64).min
"""In place of a time that is none, or here of one in another form."""

_ZERO, _NINE, _DASH, _COLON, _POINT = (ord(c) for c in "09-:.")
_T, _SPACE, _Z, _PLUS = (ord(c) for c in "T Z+")
_WITHOUT_FRACTION = len("2025-01-03T18:18:23")
_OFFSET = len("+01:00")
_FRACTION_DIGITS = 6


def read_plain_times(text: Bytes, offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Read n texts in a row, each as `read_plain_time` does; shape (n,)."""
    times = np.empty(len(offsets) - 1, np.int64)
    _read_all(text, offsets, times)
    return times


@compiled
def _read_all(text: Bytes, offsets: NDArray[np.int64], times: NDArray[np.int64]) -> None:
    for row in range(times.size):
        times[row] = read_plain_time(text, offsets[row], offsets[row + 1])


@compiled
def read_plain_time(text: Bytes, start: int, end: int) -> int:
    """Read microseconds since 1970-01-01 UTC, or UNREADABLE_TIME.

    The date and the time are parted by `T` or a space. Up to six digits of a fraction may follow,
    then `Z`, an offset such as `+01:00`, or neither, which means UTC.
    """
    if end - start < _WITHOUT_FRACTION or not _has_marks(text, start):
        return UNREADABLE_TIME
    year, month = _digits(text, start, 4), _digits(text, start + 5, 2)
    day, hour = _digits(text, start + 8, 2), _digits(text, start + 11, 2)
    minute, second = _digits(text, start + 14, 2), _digits(text, start + 17, 2)
    if min(year, month, day, hour, minute, second) < 0:
        return UNREADABLE_TIME
    is_date = year >= 1 and 1 <= month <= 12 and 1 <= day <= _days_in_month(year, month)
    if not is_date or hour > 23 or minute > 59 or second > 59:
        return UNREADABLE_TIME
    micros, at = _fraction_us(text, start + _WITHOUT_FRACTION, end)
    offset = _offset_seconds(text, at, end)
    if micros < 0 or offset == UNREADABLE_TIME:
        return UNREADABLE_TIME
    seconds = _days_since_1970(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second
    return (seconds - offset) * 1_000_000 + micros


@compiled
def _has_marks(text: Bytes, start: int) -> bool:
    return bool(
        text[start + 4] == _DASH
        and text[start + 7] == _DASH
        and (text[start + 10] == _T or text[start + 10] == _SPACE)
        and text[start + 13] == _COLON
        and text[start + 16] == _COLON
    )


@compiled
def _digits(text: Bytes, start: int, count: int) -> int:
    """Read so many digits; -1 where something else stands."""
    number = 0
    for at in range(start, start + count):
        if text[at] < _ZERO or text[at] > _NINE:
            return -1
        number = 10 * number + (text[at] - _ZERO)
    return number


@compiled
def _fraction_us(text: Bytes, at: int, end: int) -> tuple[int, int]:
    """Read a fraction of a second, if there is one; -1 for a bad one, and where it ends."""
    if at == end or text[at] != _POINT:
        return 0, at
    at += 1
    micros, n_digits = 0, 0
    while at < end and n_digits < _FRACTION_DIGITS and _ZERO <= text[at] <= _NINE:
        micros = 10 * micros + (text[at] - _ZERO)
        n_digits += 1
        at += 1
    if n_digits == 0:
        return -1, at
    for _ in range(n_digits, _FRACTION_DIGITS):
        micros *= 10
    return micros, at


@compiled
def _offset_seconds(text: Bytes, at: int, end: int) -> int:
    """Read the rest of a time: how far it is ahead of UTC, or UNREADABLE_TIME."""
    if at == end or (at + 1 == end and text[at] == _Z):
        return 0
    if end - at != _OFFSET or text[at + 3] != _COLON:
        return UNREADABLE_TIME
    hours, minutes = _digits(text, at + 1, 2), _digits(text, at + 4, 2)
    if min(hours, minutes) < 0 or hours > 23 or minutes > 59:
        return UNREADABLE_TIME
    seconds = hours * 3_600 + minutes * 60
    if text[at] == _PLUS:
        return seconds
    return -seconds if text[at] == _DASH else UNREADABLE_TIME


@compiled
def _days_in_month(year: int, month: int) -> int:
    if month == 2:
        is_leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
        return 29 if is_leap else 28
    return 30 if month in (4, 6, 9, 11) else 31


@compiled
def _days_since_1970(year: int, month: int, day: int) -> int:
    """Count days of the Gregorian calendar, with years that begin in March.

    After Howard Hinnant, chrono-Compatible Low-Level Date Algorithms, `days_from_civil`.
    """
    if month <= 2:
        year -= 1
    era = year // 400
    year_of_era = year - era * 400
    day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    day_of_era = year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year
    return era * 146_097 + day_of_era - 719_468
