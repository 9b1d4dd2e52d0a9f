"""Partitions in which nothing more has come for a while."""

import time

from flagpost.core.alignment import ALIGNED_WITHIN_US
from flagpost.events import Partition

IDLE_SECONDS = 0.2
"""How long a partition has to be read to its end until nobody waits for it.

While a log is being replayed, what comes next may be on its way to the broker: a partition that is
empty for a moment is not one that is idle.
"""


def is_real_time(event_time_us: int) -> bool:
    """Say whether what happens now is near enough to an event time to be in order after it."""
    return event_time_us > 1e6 * time.time() - ALIGNED_WITHIN_US


class Idleness:
    """Remembers since when each partition has been read to its end."""

    def __init__(self) -> None:
        self._since: dict[Partition, tuple[int, float]] = {}

    def is_idle(self, partition: Partition, next_offset: int, ahead_us: int) -> bool:
        """Say whether others may go on, up to `ahead_us`, without one that is read to its end.

        In real time they may at once: what comes next there happens now.
        """
        if is_real_time(ahead_us):
            return True
        offset, since = self._since.get(partition, (-1, 0.0))
        if offset == next_offset:
            return time.monotonic() - since >= IDLE_SECONDS
        self._since[partition] = next_offset, time.monotonic()
        return False
