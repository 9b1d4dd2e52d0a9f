"""How long a peer takes from a payment that is sent to its row that somebody else can see."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import NamedTuple
from uuid import uuid4

from bench.latency import (
    PATIENCE_SECONDS,
    PERCENTILES,
    SLOW,
    Stream,
    percentiles,
    rows_seen,
    send,
)
from bench.peers.catalogue import Peer
from bench.peers.installation import PEERS_HOME
from bench.peers.runs import count_rows, empty_table, writers_of_rows
from bench.peers.task import Task
from bench.programs.load import read_sent
from bench.results import Row, Table, row
from bench.servers import PARTITIONS, ROOT, TOPIC_PREFIX, create_topics
from bench.visibility import LOOK_SECONDS, observing
from flagpost.settings import Settings
from flagpost.torture.waiting import wait_until

TITLE = f"From produced to visible at {SLOW}"
FLUSH_SECONDS = 0.01
THRESHOLD = 0.0062
"""Flags about one in ten of these payments: those of small amounts, most of new customers."""

WAKING = Stream("waking", 20_000, 5_000, 0)
QUIET_SECONDS = 1.0


class Timeliness(NamedTuple):
    """What one run found: of how many rows, and milliseconds at `PERCENTILES`."""

    n_rows: int
    ms: tuple[float, ...]


def watch_peer(stack: Settings, peer: Peer, stream: Stream) -> Timeliness:
    """Start a peer, wake it with some payments, send it the others, and look on. Blocks."""
    settings = create_topics(stack, PARTITIONS)
    url = settings.database_url.get_secret_value()
    empty_table(url)
    with TemporaryDirectory() as folder, _beside(peer, settings):
        kept = Path(folder) / "sent.npz"
        send(settings, WAKING, kept)
        _await(lambda: _is_quiet(url))
        empty_table(url)
        with observing(url) as snapshots:
            send(settings, stream, kept)
            _await(lambda: _is_quiet(url))
            time.sleep(100 * LOOK_SECONDS)  # for another look
        sent, writers = read_sent(kept), writers_of_rows(url)
    rows, seen = rows_seen(writers, snapshots)
    is_counted = sent.due_ns[rows] >= sent.due_ns[0] + 1e9 * stream.warm_up_seconds
    latency_ms = (seen - sent.sent_ns[rows])[is_counted] / 1e6
    return Timeliness(latency_ms.size, percentiles(latency_ms, PERCENTILES))


@contextmanager
def _beside(peer: Peer, settings: Settings) -> Iterator[None]:
    """Run a peer until the context is left; what it had still to do does not matter then.

    What it has said is a note of an `AssertionError`.
    """
    keeping = TemporaryDirectory(dir=PEERS_HOME, ignore_cleanup_errors=True)
    with keeping as folder, TemporaryFile("w+") as output:
        task = Task(
            bootstrap=settings.kafka_bootstrap,
            database_url=settings.database_url.get_secret_value(),
            topic=settings.topic,
            group=f"{TOPIC_PREFIX}{uuid4().hex[:8]}",
            events=2**62,
            threshold=THRESHOLD,
            flush_seconds=FLUSH_SECONDS,
            is_live=True,
            state_folder=Path(folder),
        )
        environment = {**os.environ, **task.to_environment()}
        process = subprocess.Popen(  # noqa: S603 - our own programs, no shell
            peer.command(),
            env=environment,
            cwd=ROOT,
            stdout=output,
            stderr=output,
            start_new_session=True,  # a group of its own: it may have started a JVM
        )
        try:
            yield
        except AssertionError as error:
            output.seek(0)
            error.add_note(output.read()[-2000:])
            raise
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _is_quiet(database_url: str) -> bool:
    """Whether there are rows, and a while later still as many."""
    before = count_rows(database_url)
    time.sleep(QUIET_SECONDS)
    return 0 < before == count_rows(database_url)


def _await(condition: Callable[[], bool]) -> None:
    assert wait_until(condition, PATIENCE_SECONDS), "the peer writes no rows"


def latency_table(found: Mapping[str, Sequence[Timeliness]]) -> Table:
    """Arrange what was found, a row for each peer."""
    columns = [*(f"p{at:g}, ms" for at in PERCENTILES), "rows looked at"]
    return Table(TITLE, columns, [_row(title, runs) for title, runs in found.items()])


def _row(title: str, runs: Sequence[Timeliness]) -> Row:
    by_percentile = zip(*(run.ms for run in runs), strict=True)
    return row(title, [*by_percentile, [run.n_rows for run in runs]])
