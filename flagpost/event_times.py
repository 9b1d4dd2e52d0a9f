"""Timestamps in the forms that senders use, as microseconds since 1970-01-01 UTC."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from flagpost.byte_words import in_a_row
from flagpost.plain_times import UNREADABLE_TIME, read_plain_times

FIRST_MILLISECONDS = 1e11
"""A number from here on counts milliseconds (March 1973), a smaller one seconds (up to 5138)."""

_PAST_ALL_TIMES = 9e15
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_ISO_8601 = re.compile(
    r"\d{4}-\d\d-\d\d([T ]\d\d(:\d\d(:\d\d(\.\d{1,9})?)?)?(Z|[+-]\d\d(:?\d\d)?)?)?", re.ASCII
)
_NUMBER = re.compile(r"-?\d{1,16}(\.\d{1,9})?", re.ASCII)

Timestamp = str | int | float


def parse_times(timestamps: Sequence[Timestamp]) -> NDArray[np.int64]:
    """Read n timestamps; the forms may differ. Microseconds, `UNREADABLE_TIME` where it is none."""
    texts = [each.encode() if isinstance(each, str) else None for each in timestamps]
    times = read_plain_times(*in_a_row(texts))
    for place in np.flatnonzero(times == UNREADABLE_TIME).tolist():
        times[place] = parse_time(timestamps[place])
    return times


def parse_time(timestamp: Timestamp) -> int:
    """Read one timestamp: microseconds, or `UNREADABLE_TIME`.

    ISO 8601 with an offset, `Z` or neither (then it is UTC), the date and the time parted by `T`
    or a space, digits past the microsecond cut off; or a number, also in a string, of seconds or
    milliseconds since 1970.
    """
    if isinstance(timestamp, str):
        if _ISO_8601.fullmatch(timestamp):
            return _parse_iso_8601(timestamp)
        if not _NUMBER.fullmatch(timestamp):
            return UNREADABLE_TIME
        timestamp = float(timestamp)
    if not abs(timestamp) < _PAST_ALL_TIMES:
        return UNREADABLE_TIME
    return round(timestamp * (1e3 if abs(timestamp) >= FIRST_MILLISECONDS else 1e6))


def _parse_iso_8601(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return UNREADABLE_TIME
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // _MICROSECOND
