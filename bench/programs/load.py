"""A steady load in real time: sends payments while they happen, and keeps when it sent each.

Example: python -m bench.programs.load 40000 2000 sent.npz
"""

import gc
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import typer
from confluent_kafka import Message, Producer
from numpy.typing import NDArray

from bench.payments import Payments, draw_payments, labelled_with
from flagpost.settings import load_settings

SLICE_SECONDS = 0.005
"""What falls due within a slice is sent together, which leaves the broker some work for others."""

MOST_OF_A_SLICE = 1_000
FLAGGED_A_SECOND = 200
FLAGGED_SHARES = 0.01, 0.1
"""The least and the most."""

ACKNOWLEDGED_EVERY = 11
"""Of so many payments one at most is listened for: each time it wakes the processor up. A slice has
ten, and it shall not always be the same one of them."""

WAIT_SECONDS = 0.001

PRODUCER_CONFIG: dict[str, str | int | bool] = {
    "acks": "all",
    "enable.idempotence": True,
    "compression.type": "lz4",
    "linger.ms": 0,  # a payment does not wait for the next one
    "socket.nagle.disable": True,
    "partitioner": "murmur2_random",
    "log_level": 0,
}


Acknowledge = Callable[[object, Message], None]


class Sent(NamedTuple):
    """When n payments were due, and when they were handed to the client: `time.monotonic_ns`.

    `acknowledged_ns` is when the broker had said that it has a payment, 0 if nobody listened: that
    is done for some of the flagged ones, and for the first payment.
    """

    due_ns: NDArray[np.int64]
    sent_ns: NDArray[np.int64]
    acknowledged_ns: NDArray[np.int64]


def read_sent(path: Path) -> Sent:
    """Read what a load has kept."""
    with np.load(path) as columns:
        return Sent(*(columns[name] for name in Sent._fields))


class Load:
    """Sends payments to a topic, and some labels of earlier ones to another."""

    def __init__(
        self, producer: Producer, topic: str, labels_topic: str, payments: Payments
    ) -> None:
        self._producer = producer
        self._topic = topic
        self._labels_topic = labels_topic
        self._payments = payments
        self._happened_at: list[bytes] = []
        self._n_awaited = 0
        n = len(payments.customers)
        self._sent_ns, self._acknowledged_ns = np.zeros(n, np.int64), np.zeros(n, np.int64)

    def send(self, rate: float, slice_seconds: float) -> Sent:
        """Send all, so many a second, what is due together; blocks until they are acknowledged."""
        n, done = self._sent_ns.size, 0
        due_ns = time.monotonic_ns() + (np.arange(n) * (1e9 / rate)).astype(np.int64)
        while done < n:
            now_ns = time.monotonic_ns()
            end = min(int(np.searchsorted(due_ns, now_ns, "right")), done + MOST_OF_A_SLICE)
            self._sent_ns[done:end] = now_ns
            self._send_slice(range(done, end))
            if end < n and due_ns[end] > now_ns:
                self._listen(slice_seconds)
            done = end
        assert not self._producer.flush(30), "the broker does not acknowledge"
        return Sent(due_ns, self._sent_ns, self._acknowledged_ns)

    def _send_slice(self, rows: range) -> None:
        now = datetime.now(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
        payments, at = self._payments, now.encode()
        self._happened_at += [at] * len(rows)
        for row in rows:
            then = None
            if payments.is_flagged[row] and row % ACKNOWLEDGED_EVERY == 0:
                then = partial(self._note, row)
                self._n_awaited += 1
            self._queue(self._topic, payments.customers[row], payments.message(row, at), then)
        for row in labelled_with(rows):
            label = payments.label(row, self._happened_at[row], at)
            self._queue(self._labels_topic, payments.customers[row], label, None)
        self._producer.poll(0)

    def _listen(self, seconds: float) -> None:
        """Wait, and hear of acknowledgements as they come: each says how old it is by now."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self._n_awaited:
                self._producer.poll(left)
            else:
                time.sleep(left)

    def _note(self, row: int, error: object, message: Message) -> None:
        assert not error, error
        self._n_awaited -= 1
        self._acknowledged_ns[row] = self._sent_ns[row] + int(1e9 * (message.latency() or 0))

    def _queue(self, topic: str, key: bytes, value: bytes, then: Acknowledge | None) -> None:
        while True:
            try:
                self._producer.produce(topic, value, key, on_delivery=then)
            except BufferError:
                self._producer.poll(WAIT_SECONDS)  # the broker is behind
            else:
                return


def main(
    n: int,
    rate: float,
    out: Path,
    slice_seconds: Annotated[float, typer.Option()] = SLICE_SECONDS,
) -> None:
    """Send so many payments at a rate a second."""
    settings = load_settings()
    producer = Producer({**PRODUCER_CONFIG, "bootstrap.servers": settings.kafka_bootstrap})
    producer.list_topics(settings.topic)  # connects
    payments = draw_payments(n, float(np.clip(FLAGGED_A_SECOND / rate, *FLAGGED_SHARES)))
    load = Load(producer, settings.topic, settings.labels_topic, payments)
    gc.collect()
    gc.disable()
    np.savez(out, **load.send(rate, slice_seconds)._asdict())


if __name__ == "__main__":
    typer.run(main)
