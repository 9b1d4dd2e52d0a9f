"""Offsets on their way to Kafka's lag tools."""

import time
from collections.abc import Iterable, Mapping

from flagpost.events import Partition
from flagpost.kafka.group import COMMIT_INTERVAL_SECONDS


class CommitAdvice:
    """Keeps the newest offset of each partition until it is time to send them."""

    def __init__(self) -> None:
        self._offsets: dict[Partition, int] = {}
        self._due = 0.0

    def note(self, offsets: Mapping[Partition, int]) -> None:
        """The work is done up to `offsets`."""
        self._offsets.update(offsets)

    def forget(self, partitions: Iterable[Partition]) -> None:
        """Another member commits for `partitions` now."""
        for partition in partitions:
            self._offsets.pop(partition, None)

    def take_due(self) -> dict[Partition, int]:
        """What to send now: nothing until the interval has passed."""
        now = time.monotonic()
        if not self._offsets or now < self._due:
            return {}
        self._due = now + COMMIT_INTERVAL_SECONDS
        return self.take_all()

    def take_all(self) -> dict[Partition, int]:
        """What has not been sent."""
        offsets, self._offsets = self._offsets, {}
        return offsets
