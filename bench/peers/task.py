"""What a peer is told, by environment variables, and what it tells at its end."""

import gc
import os
import sys
import time
from pathlib import Path
from typing import NamedTuple, Self

import msgspec

VARIABLE = "PEER_{}"
GC_THRESHOLD_ALLOCATIONS = 200_000

COMMIT_SECONDS = 1.0
"""How often offsets and state are committed; the tools have defaults from 3 to 30."""


class Task(NamedTuple):
    """One run of a peer: so many events of a topic, in a group that is new.

    Attributes:
        threshold: a probability from here on is flagged.
        flush_seconds: how long a row waits at most, if rows are written by the clock.
        is_live: whether the events are still to come; otherwise they are all there.
        state_folder: empty and the peer's own.
    """

    bootstrap: str
    database_url: str
    topic: str
    group: str
    events: int
    threshold: float
    flush_seconds: float
    is_live: bool
    state_folder: Path

    @classmethod
    def from_environment(cls) -> Self:
        """Read what `to_environment` has written."""
        told = [os.environ[VARIABLE.format(name.upper())] for name in cls._fields]
        return msgspec.convert(told, cls, strict=False, dec_hook=_path)

    def to_environment(self) -> dict[str, str]:
        """Write it for a process of any language."""
        return {VARIABLE.format(name.upper()): str(value) for name, value in self._asdict().items()}


def _path(wanted: type, text: str) -> Path:
    assert wanted is Path
    return Path(text)


def calm_garbage_collector() -> None:
    """Look for cycles as seldom as Flagpost does: it takes a tenth of the time or more."""
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD_ALLOCATIONS, 20, 20)


class Stopwatch:
    """Measures from the first message to the last commit."""

    def __init__(self) -> None:
        self._began: float | None = None
        self.counted = 0

    @classmethod
    def begun_at(cls, seconds: float) -> Self:
        """Go on from a moment of `time.perf_counter`, which the processes of a machine share."""
        stopwatch = cls()
        stopwatch._began = seconds
        return stopwatch

    def begin(self) -> None:
        """Note the first message; any further call changes nothing."""
        if self._began is None:
            self._began = time.perf_counter()

    def count(self) -> int:
        """Note one message more; how many there were."""
        self.begin()
        self.counted += 1
        return self.counted

    def finish(self) -> None:
        """Note the last commit and print the seconds between: a line of its output."""
        if self._began is None:
            raise RuntimeError("no message came")
        sys.stdout.write(f"seconds={time.perf_counter() - self._began:.6f}\n")
        sys.stdout.flush()
