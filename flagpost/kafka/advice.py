"""Offsets on their way to Kafka's lag tools."""

import time
from collections.abc import Container, Iterable, Mapping

from flagpost.events import Partition
from flagpost.kafka.group import COMMIT_INTERVAL_SECONDS


class CommitAdvice:
    """Keeps the newest offset of each partition until the broker has taken it.

    A broker refuses commits while a group is being shared out. On a stream that goes quiet then, no
    later one would tell how far it was read.
    """

    def __init__(self) -> None:
        self._waiting: dict[Partition, int] = {}
        self._sent: dict[Partition, int] = {}
        self._due = 0.0

    def note(self, offsets: Mapping[Partition, int]) -> None:
        """The work is done up to `offsets`."""
        self._waiting.update(offsets)

    def forget(self, partitions: Iterable[Partition]) -> None:
        """Another member commits for `partitions` now."""
        for partition in partitions:
            self._waiting.pop(partition, None)
            self._sent.pop(partition, None)

    def take_due(self) -> dict[Partition, int]:
        """What to send now: nothing until the interval has passed."""
        now = time.monotonic()
        if not self._waiting or now < self._due:
            return {}
        self._due = now + COMMIT_INTERVAL_SECONDS
        return self.take_all()

    def take_all(self) -> dict[Partition, int]:
        """What has not been sent, or was refused."""
        offsets, self._waiting = self._waiting, {}
        self._sent.update(offsets)
        return offsets

    def answered(self, offsets: Mapping[Partition, int], again: Container[Partition]) -> None:
        """The broker has answered; of the partitions `again` it takes nothing for the moment.

        Their offsets wait for the next commit, unless newer ones have been sent.
        """
        for partition, offset in offsets.items():
            if self._sent.get(partition) == offset:
                del self._sent[partition]
                if partition in again:
                    self._waiting.setdefault(partition, offset)

    def take_back_unanswered(self) -> None:
        """Send everything again of which the broker has not said anything yet."""
        unanswered = dict(self._sent)
        self.answered(unanswered, again=unanswered)

    @property
    def awaits_answer(self) -> bool:
        """Whether there is something of which the broker has not said anything yet."""
        return bool(self._sent)

    @property
    def is_settled(self) -> bool:
        """Whether nothing is left to be sent or answered."""
        return not (self._waiting or self._sent)
