"""What every part of the benchmark is given, and what it gives."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

from bench.results import Section
from bench.servers import fill_topics
from flagpost.settings import KafkaClient, Settings

OnProgress = Callable[[float], None]
"""Hears which share of a part is done, from 0 to 1."""

Step = TypeVar("Step")


@dataclass(frozen=True, slots=True)
class Bench:
    """The servers, what to measure on them, and how often.

    Attributes:
        stack: leads to the servers.
        clients: those to be measured.
        repeats: how often each figure is measured.
        events: transactions of a run over a log.
        is_quick: whether everything that grows with time is to be short.
    """

    stack: Settings
    clients: list[KafkaClient]
    repeats: int
    events: int
    is_quick: bool
    _filled: dict[tuple[Path, int], Settings] = field(default_factory=dict)

    def filled(self, log: Path, partitions: int) -> Settings:
        """Return settings that lead to topics with all messages of a log, sent once. Blocks."""
        key = log, partitions
        if key not in self._filled:
            self._filled[key] = fill_topics(self.stack, log, partitions)
        return self._filled[key]


class Part(Protocol):
    """Measures something. Blocks for up to minutes."""

    def __call__(self, bench: Bench, on_progress: OnProgress) -> Section:
        """Measure it so many times."""


def in_turns(repeats: int, steps: list[Step], on_progress: OnProgress) -> Iterator[Step]:
    """Go through the steps again and again, so that a change in the machine's mood hits all."""
    plan = steps * repeats
    for place, step in enumerate(plan, 1):
        yield step
        on_progress(place / len(plan))
