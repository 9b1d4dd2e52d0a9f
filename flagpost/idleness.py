"""Partitions in which nothing more has come for a while."""

import time

from flagpost.events import Partition

IDLE_SECONDS = 0.2
"""How long a partition has to be read to its end until nobody waits for it.

While a log is being replayed, what comes next may be on its way to the broker: a partition that is
empty for a moment is not one that is idle. In real time nobody gets so far ahead of it.
"""


class Idleness:
    """Remembers since when each partition has been read to its end."""

    def __init__(self) -> None:
        self._since: dict[Partition, tuple[int, float]] = {}

    def is_idle(self, partition: Partition, next_offset: int) -> bool:
        """Say whether a partition that is read to its end, just now, has been so for a while."""
        offset, since = self._since.get(partition, (-1, 0.0))
        if offset == next_offset:
            return time.monotonic() - since >= IDLE_SECONDS
        self._since[partition] = next_offset, time.monotonic()
        return False
