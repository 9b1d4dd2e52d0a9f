"""How far a partition's event time has come: the clock that old transactions are measured by."""

import numpy as np

from flagpost.core.history import Int64s


def running_maximum(event_time_us: Int64s, reached_us: int | None) -> Int64s:
    """Return the latest event time up to and including each of n transactions.

    Args:
        event_time_us: shape (n,), in offset order.
        reached_us: the latest one before them; None when there was none.
    """
    latest = np.maximum.accumulate(event_time_us)
    return latest if reached_us is None else np.maximum(latest, reached_us)
