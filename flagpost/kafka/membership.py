"""Which partitions a member has, and which of them may flow."""

from collections import deque
from collections.abc import Iterable

from flagpost.events import Partition


class Membership:
    """The bookkeeping that both clients share.

    A client reports what it gains and loses, from whatever thread it likes; everything else runs
    on the polling thread.
    """

    def __init__(self) -> None:
        self._reports: deque[tuple[frozenset[Partition], frozenset[Partition]]] = deque()
        self._sought: set[Partition] = set()
        self._waiting: set[Partition] = set()
        self._paused: set[Partition] = set()

    def gain(self, partitions: Iterable[Partition]) -> None:
        """The group gave this member `partitions`. Safe on any thread."""
        self._reports.append((frozenset(partitions), frozenset()))

    def lose(self, partitions: Iterable[Partition]) -> None:
        """The group took `partitions` away. Safe on any thread."""
        self._reports.append((frozenset(), frozenset(partitions)))

    def lose_all(self) -> None:
        """Nothing is this member's any more, nor what it has not been told of yet."""
        self._reports.clear()
        self.lose(self._sought | self._waiting)

    @property
    def changed(self) -> bool:
        """Whether `changes` has anything to tell."""
        return bool(self._reports)

    def changes(self) -> tuple[frozenset[Partition], frozenset[Partition]]:
        """What was assigned and what was lost since the last call."""
        assigned: set[Partition] = set()
        lost: set[Partition] = set()
        while self._reports:
            gained, gone = self._reports.popleft()
            assigned = (assigned | gained) - gone
            lost |= gone
        for partitions in (self._sought, self._waiting, self._paused):
            partitions.difference_update(lost, assigned)
        self._waiting |= assigned
        return frozenset(assigned), frozenset(lost)

    def owns(self, partition: Partition) -> bool:
        """Whether the polling thread has been told that this member has `partition`."""
        return partition in self._sought or partition in self._waiting

    def sought(self, partition: Partition) -> bool:
        """Whether `partition` is owned and has been told where to start."""
        return partition in self._sought

    def seek(self, partition: Partition) -> None:
        """`partition` has been told where to start."""
        self._waiting.discard(partition)
        self._sought.add(partition)

    def pause(self, partitions: Iterable[Partition]) -> set[Partition]:
        """Note a pause; returns the partitions whose flow it stops."""
        owned = {partition for partition in partitions if self.owns(partition)}
        stopped = (owned - self._paused) & self._sought
        self._paused |= owned
        return stopped

    def resume(self, partitions: Iterable[Partition]) -> set[Partition]:
        """Note the end of a pause; returns the partitions whose flow it starts."""
        started = self._paused.intersection(partitions)
        self._paused -= started
        return started & self._sought

    def flows(self, partition: Partition) -> bool:
        """Whether `partition` is sought and not paused."""
        return partition in self._sought and partition not in self._paused
