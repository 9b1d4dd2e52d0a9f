"""Sends a log to its topics: transactions to one, labels to the other, both keyed by user."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import compress
from threading import Event

import numpy as np
from numpy.typing import NDArray

from flagpost.errors import Undelivered
from flagpost.events import AS_DESIGNED, FieldMapping, message_keys
from flagpost.kafka.publisher import Publisher, Receipt
from flagpost.logs import LogBatch
from flagpost.pace import Pace

TICK_SECONDS = 0.001
"""Messages that fall due within a tick are sent together."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a replay did. `resume_at_line` is the first line not sent, None at the log's end."""

    receipt: Receipt
    resume_at_line: int | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Replay:
    """Where a log goes, and how fast.

    Attributes:
        publisher: is closed at the end.
        topic: takes the transactions, and what is neither transaction nor label, as it is.
        labels_topic: takes the labels.
        pace: when each message is due.
        mapping: names the field that holds the user of a transaction.
        stop: ends the sending early when set; what was sent is still waited for.
    """

    publisher: Publisher
    topic: str
    labels_topic: str
    pace: Pace
    mapping: FieldMapping
    stop: Event

    def run(self, batches: Iterable[LogBatch], on_progress: Callable[[float], None]) -> Outcome:
        """Send every message in the log's order and wait for the acknowledgements. Blocks.

        `on_progress` hears which share of the log has been sent.
        """
        began = time.monotonic()
        resume_at_line: int | None = None
        for batch in batches:
            sent = self._send(batch, self.pace(batch) + began)
            if sent < len(batch.values):
                resume_at_line = int(batch.line_numbers[sent])
                break
            on_progress(batch.fraction_done)
        receipt = self.publisher.finish()
        return Outcome(receipt, resume_at_line, time.monotonic() - began)

    def _send(self, batch: LogBatch, due: NDArray[np.float64]) -> int:
        """Send messages as they fall due; returns how many were sent before a stop."""
        sent = 0
        while sent < len(due) and not self.stop.is_set():
            ready = int(np.searchsorted(due, time.monotonic(), side="right"))
            if ready <= sent:
                self.stop.wait(max(due[sent] - time.monotonic(), TICK_SECONDS))
                continue
            try:
                self._publish(batch.part(slice(sent, ready)))
            except Undelivered:
                break  # the receipt says why
            sent = ready
        return sent

    def _publish(self, batch: LogBatch) -> None:
        """Send labels first and wait for them: whoever reads a transaction can see them then.

        A replay is faster than life, and what is under way to the broker may be weeks of it.
        """
        labels = list(compress(batch.values, batch.is_label))
        if labels:
            self.publisher.publish(self.labels_topic, message_keys(labels, AS_DESIGNED), labels)
            self.publisher.settle()
        others = list(compress(batch.values, ~batch.is_label))
        if others:
            self.publisher.publish(self.topic, message_keys(others, self.mapping), others)


def select_lines(
    batches: Iterable[LogBatch], from_line: int, limit: int | None
) -> Iterator[LogBatch]:
    """Leave out the lines before `from_line`, and all that is left after `limit` messages."""
    left = limit
    for batch in batches:
        first = int(np.searchsorted(batch.line_numbers, from_line))
        chosen = batch.part(slice(first, None if left is None else first + left))
        if chosen.values:
            yield chosen
        if left is not None:
            left -= len(chosen.values)
            if not left:
                return
