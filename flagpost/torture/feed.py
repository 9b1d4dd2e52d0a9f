"""Sends a log part by part, each while something goes wrong."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain, pairwise
from pathlib import Path
from threading import Event

import numpy as np

from flagpost.errors import Undelivered
from flagpost.events import AS_DESIGNED
from flagpost.kafka.access import KafkaAccess
from flagpost.kafka.factory import open_publisher
from flagpost.logs import LogBatch, read_log
from flagpost.pace import constant_rate
from flagpost.replay import Replay
from flagpost.torture.site import Site


def parts_of(log: Path, n_parts: int) -> list[LogBatch]:
    """Cut a log into parts of about the same number of messages; all of it is held in memory."""
    batches = list(read_log(log))
    values = list(chain.from_iterable(batch.values for batch in batches))
    whole = LogBatch(
        line_numbers=np.concatenate([batch.line_numbers for batch in batches]),
        values=values,
        is_label=np.concatenate([batch.is_label for batch in batches]),
        fraction_done=1.0,
    )
    places = np.linspace(0, len(values), n_parts + 1).astype(int).tolist()
    return [whole.part(slice(*pair)) for pair in pairwise(places)]


@contextmanager
def sending(site: Site, part: LogBatch, seconds: float) -> Iterator[None]:
    """Send a part evenly over some seconds; leaving the context waits for its end.

    Raises:
        Undelivered: the broker did not acknowledge everything.
    """
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(send, site, part, len(part.values) / seconds)
        yield
        sent.result()


def send(site: Site, part: LogBatch, rate: float) -> None:
    """Send a part, so many messages a second, and wait for the acknowledgements.

    Raises:
        Undelivered: they did not all come.
    """
    publisher = open_publisher(KafkaAccess(site.kafka_bootstrap), site.client)
    pace = constant_rate(rate)
    replay = Replay(publisher, site.name, site.labels_topic, pace, AS_DESIGNED, Event())
    receipt = replay.run([part], lambda _: None).receipt
    if receipt.failed:
        raise Undelivered(f"not acknowledged: {receipt.first_failure}")
