"""Event times: whole microseconds in the program, `timestamptz` in the tables, never rounded."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_datetime(time_us: int) -> datetime:
    """Return microseconds since 1970 as an aware time in UTC."""
    return _EPOCH + timedelta(microseconds=time_us)


def to_us(time: datetime) -> int:
    """Return an aware time, in whatever zone, as microseconds since 1970."""
    return (time - _EPOCH) // _MICROSECOND
