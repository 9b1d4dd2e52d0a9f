"""Nobody waits for ever for a server that is frozen: it does not keep its own limits either."""

import os
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from threading import Lock, Thread
from typing import Any, TypeVar

T = TypeVar("T")

LIMIT_SECONDS = 90.0
"""Longer than the server takes to end a statement by itself and to say why."""

LOOKS_A_LIMIT = 50
"""How often it is looked whether anything takes longer."""


class TimeLimit:
    """Cuts connections off on which something takes longer than a limit.

    What waits there fails then as if the network had been cut. The watching thread begins with the
    first wait and ends with the process. Several threads may wait at a time.
    """

    def __init__(self, seconds: float = LIMIT_SECONDS) -> None:
        self._seconds = seconds
        self._lock = Lock()
        self._waits: set[Wait] = set()
        self._watcher = Thread(target=self._watch, name="time-limit", daemon=True)

    @contextmanager
    def on(self, driver: Any) -> Iterator["Wait"]:  # noqa: ANN401  (the connection of either driver)
        """Let everything in the context take so long in all, or since the wait was begun anew."""
        wait = Wait(driver)
        with self._lock:
            self._waits.add(wait)
            if not self._watcher.is_alive():
                self._watcher.start()
        try:
            yield wait
        finally:
            with self._lock:
                self._waits.remove(wait)
                wait.close()

    def _watch(self) -> None:
        while True:
            time.sleep(self._seconds / LOOKS_A_LIMIT)
            began_before = time.monotonic() - self._seconds
            with self._lock:
                for wait in self._waits:
                    if wait.began_at < began_before:
                        wait.cut()


class Wait:
    """A wait for the server, with a handle of its own on the socket of a connection."""

    def __init__(self, driver: Any) -> None:  # noqa: ANN401
        """Begin to wait on a connection that is open."""
        self._file = os.dup(driver.fileno())
        self.began_at = time.monotonic()

    def each(self, received: Iterable[T]) -> Iterator[T]:
        """Begin anew with each thing that is received."""
        for one in received:
            yield one
            self.began_at = time.monotonic()

    def cut(self) -> None:
        """Make whoever waits on the connection fail."""
        with socket.socket(fileno=os.dup(self._file)) as own, suppress(OSError):
            own.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the handle back; the connection stays as it is."""
        os.close(self._file)


PATIENCE = TimeLimit()
"""That of all stores of this process."""
