"""How much usually comes within the time of a small batch, so that a poll can wait for it.

What is sent together arrives partition by partition. A poll that ended with the first of it would
leave the others to the next batch, some milliseconds later. One that waits for as much as usually
comes within that time gets them together, and where single messages come it waits for nothing.
"""

import math
import time

from flagpost.kafka.group import BATCH_SECONDS

LOOK_SECONDS = 0.02
"""How often the rate is taken: a few batches."""

MEMORY_SECONDS = 0.2
"""How soon it follows a stream that changes."""


class Influx:
    """Averages how many messages come a second, the recent past weighing most.

    With a share below 1 nobody waits for what varies from one batch to the next.
    """

    def __init__(self, awaited_share: float) -> None:
        self._awaited_share = awaited_share
        self._rate = 0.0
        self._came = 0
        self._since = time.monotonic()

    def note(self, n_messages: int) -> None:
        """So many have come."""
        self._came += n_messages

    def expected(self) -> int:
        """Return how many messages a poll may wait for, with the first; 0 or 1: for no other."""
        now = time.monotonic()
        passed_seconds = now - self._since
        if passed_seconds > LOOK_SECONDS:
            weight = -math.expm1(-passed_seconds / MEMORY_SECONDS)
            self._rate += weight * (self._came / passed_seconds - self._rate)
            self._came, self._since = 0, now
        return int(self._awaited_share * BATCH_SECONDS * self._rate)
