"""A member of a group as the tests of groups need it."""

import time
from collections.abc import Callable
from queue import SimpleQueue
from threading import Event, Thread

from flagpost.events import Partition
from flagpost.kafka.source import Source

PATIENCE_SECONDS = 30.0


class Member(Thread):
    """Polls a source on a thread of its own, and seeks each new partition to its beginning."""

    def __init__(self, source: Source) -> None:
        super().__init__(daemon=True)
        self.source = source
        self.owned: set[Partition] = set()
        self.read: dict[Partition, list[int]] = {}
        self.may_poll = Event()
        self.may_poll.set()
        self.error: Exception | None = None
        self._left = Event()
        self._between_polls = Event()
        self._actions: SimpleQueue[Callable[[Source], None]] = SimpleQueue()

    def run(self) -> None:
        try:
            while not self._left.is_set():
                self.may_poll.wait()
                self._poll()
        except Exception as error:  # noqa: BLE001 - raised again by the test's own thread
            self.error = error
        finally:
            self.source.close()

    def act(self, action: Callable[[Source], None]) -> None:
        """Do something with the source on its thread, between two polls."""
        self._actions.put(action)
        wait_until(self._actions.empty, self)
        self._between_polls.clear()
        assert self._between_polls.wait(PATIENCE_SECONDS)

    def leave(self) -> None:
        self._left.set()
        self.may_poll.set()
        self.join(PATIENCE_SECONDS)
        assert not self.is_alive()

    def _poll(self) -> None:
        while not self._actions.empty():
            self._actions.get()(self.source)
        self._between_polls.set()
        poll = self.source.poll(100, 0.1)
        assert not poll.assigned & (self.owned - poll.lost), "assigned again without a loss"
        self.source.seek(dict.fromkeys(poll.assigned, 0))
        for chunk in poll.chunks:
            offsets = [chunk.offset(i) for i in range(len(chunk.values))]
            self.read.setdefault(chunk.partition, []).extend(offsets)
        self.owned = (self.owned - poll.lost) | poll.assigned
        assert {chunk.partition for chunk in poll.chunks} <= self.owned


def wait_until(condition: Callable[[], bool], *members: Member) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        for member in members:
            if member.error:
                raise member.error
        assert time.monotonic() < deadline, [member.owned for member in members]
        time.sleep(0.01)
