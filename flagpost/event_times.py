"""Timestamps in the forms that senders use, as microseconds since 1970-01-01 UTC.

Arrow reads a batch of one form. A batch that mixes forms is read one by one, to the same result.
"""

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

UNREADABLE_TIME = np.iinfo(np.int64).min
"""In place of a time that is none."""

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
    for parse_batch in _BATCH_FORMS:
        with suppress(pa.ArrowInvalid, pa.ArrowTypeError):
            parse_batch(timestamps[:1])  # Arrow takes its time to fail on a whole batch
            return np.array(parse_batch(timestamps))  # Arrow's are read-only, and kernels care
    return np.array([parse_time(timestamp) for timestamp in timestamps], np.int64)


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


def _parse_zoned(timestamps: Sequence[Timestamp]) -> NDArray[np.int64]:
    return _cast(timestamps, pa.timestamp("us", "UTC"))


def _parse_zoneless(timestamps: Sequence[Timestamp]) -> NDArray[np.int64]:
    return _cast(timestamps, pa.timestamp("us"))


def _cast(timestamps: Sequence[Timestamp], time_type: pa.DataType) -> NDArray[np.int64]:
    times: NDArray[np.int64] = np.asarray(
        pa.array(timestamps, pa.large_utf8()).cast(time_type).cast(pa.int64())
    )
    return times


def _parse_numbers(timestamps: Sequence[Timestamp]) -> NDArray[np.int64]:
    numbers = np.asarray(pa.array(timestamps, pa.float64()))
    size = np.abs(numbers)
    readable = size < _PAST_ALL_TIMES
    scale = np.where(size >= FIRST_MILLISECONDS, 1e3, 1e6)
    times = np.rint(np.where(readable, numbers, 0.0) * scale).astype(np.int64)
    return np.where(readable, times, UNREADABLE_TIME)


_BATCH_FORMS: tuple[Callable[[Sequence[Timestamp]], NDArray[np.int64]], ...] = (
    _parse_zoned,
    _parse_zoneless,
    _parse_numbers,
)
