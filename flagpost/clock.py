"""The one look at the clock that decisions depend on."""

import time

from flagpost.core.calendar import DAY_US


def latest_event_time_us(max_future_days: float) -> int:
    """Return the last event time, microseconds since 1970, that is believed just now."""
    return time.time_ns() // 1_000 + round(max_future_days * DAY_US)
