"""How long it takes from a payment that is sent to its row that somebody else can see."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import psutil
from numpy.typing import NDArray

from bench.parts import Bench, OnProgress, in_turns
from bench.payments import row_of
from bench.programs.load import SLICE_SECONDS, Sent, read_sent
from bench.results import Figure, Goal, Row, Section, Table, row
from bench.servers import (
    PARTITIONS,
    count_taken_over,
    create_topics,
    empty_tables,
    read_committed,
    run_script,
    script_beside,
)
from bench.visibility import (
    LOOK_SECONDS,
    Snapshot,
    begun_between,
    first_seen_ns,
    observing,
    writers_of_flagged,
)
from flagpost.core.history import Int64s
from flagpost.settings import KafkaClient, Settings
from flagpost.torture.waiting import wait_until

WARM_UP_SECONDS = 4
BROKER_WARM_UP_SECONDS = 30
PATIENCE_SECONDS = 120
WORKER = "consumer_transform.py"
PERCENTILES = (50.0, 99.0, 99.9)
P50, P99, P999 = range(3)

HOW = (
    "Payments that happen now, 200 a second or one in a hundred of them flagged, and some labels "
    "are handed to a client every 5 ms, or evenly, every millisecond, by a process of its own "
    "(confluent-kafka, linger 0, lz4). "
    "Latency runs from the moment before that until another connection, which looks about every "
    "millisecond, sees that the transaction is over which wrote the flagged row. The first "
    f"{WARM_UP_SECONDS} s are left out; the row of the very first payment after a worker has "
    "started stands apart, from when the broker had the payment: a producer's first message takes "
    f"half a second. Before all that the broker gets {BROKER_WARM_UP_SECONDS} s of it that nobody "
    "looks at: it compiles what it does often, and takes half a core for that. Flat out, "
    "everything is sent as fast as the broker takes it: there the "
    "latency is that of a backlog, and grows with it."
)


class Stream(NamedTuple):
    """A load: so many payments, so many a second; those of the warm-up are not looked at.

    What falls due within a slice is sent together.
    """

    name: str
    n_payments: int
    rate: float
    warm_up_seconds: float
    slice_seconds: float = SLICE_SECONDS


SLOW, EVEN, FAST, FLAT_OUT = "2,000/s", "2,000/s evenly", "20,000/s", "flat out"
RATES = {SLOW: 2_000, EVEN: 2_000, FAST: 20_000}
SLICES_SECONDS = {EVEN: 0.001}
UNLIMITED = 1e9


def streams(seconds: int, n_flat_out: int) -> list[Stream]:
    """Return the loads, of which the steady ones are looked at for so long."""
    return [
        steady_stream(SLOW, seconds),
        steady_stream(EVEN, seconds),
        steady_stream(FAST, seconds),
        Stream(FLAT_OUT, n_flat_out, UNLIMITED, 0),
    ]


def steady_stream(name: str, seconds: int) -> Stream:
    """Return the load of one of the steady rates, looked at for so long."""
    rate = RATES[name]
    n_payments = rate * (WARM_UP_SECONDS + seconds)
    slice_seconds = SLICES_SECONDS.get(name, SLICE_SECONDS)
    return Stream(name, n_payments, rate, WARM_UP_SECONDS, slice_seconds)


class Latency(NamedTuple):
    """What one run found. Latencies are milliseconds, `ms` at `PERCENTILES`.

    Attributes:
        n_rows: how many flagged rows were looked at.
        acknowledged_ms: of it until the broker had acknowledged the payment, median.
        first_ms: of the first payment after the start of a worker, from when the broker had
            acknowledged it to its row; the producer's own start is none of the worker's.
        commits_a_second: writing transactions of the whole database.
        late_ms: how much later than they were due 99 of 100 payments were sent, at most; flat out
            this is how long it took to send them.
        rate: payments a second, from the first that was sent to the last row that was seen.
        stolen_percent: of the processor time, what a virtual machine's host gave to others.
    """

    n_rows: int
    ms: tuple[float, ...]
    acknowledged_ms: float
    first_ms: float
    commits_a_second: float
    late_ms: float
    rate: float
    stolen_percent: float


@dataclass(frozen=True, slots=True)
class Watched:
    """What a run left behind: what was sent, which transaction wrote each row, what was seen.

    The tables are as the run left them until the next one empties them.
    """

    settings: Settings
    sent: Sent
    writers: Mapping[str, int]
    snapshots: Sequence[Snapshot]
    stolen_percent: float


def summarise(watched: Watched, warm_up_seconds: float) -> Latency:
    """Bring together when payments were sent and when their rows were seen."""
    sent, snapshots = watched.sent, watched.snapshots
    rows, seen = rows_seen(watched.writers, snapshots)
    latency_ms = (seen - sent.sent_ns[rows]) / 1e6
    warm_ns = int(sent.due_ns[0] + 1e9 * warm_up_seconds)
    end_ns = int(sent.sent_ns[-1])
    is_counted = sent.due_ns[rows] >= warm_ns
    counted = rows[is_counted]
    heard = counted[sent.acknowledged_ns[counted] > 0]
    return Latency(
        n_rows=counted.size,
        ms=percentiles(latency_ms[is_counted], PERCENTILES),
        acknowledged_ms=float(np.median(sent.acknowledged_ns[heard] - sent.sent_ns[heard]) / 1e6),
        first_ms=float((seen - sent.acknowledged_ns[rows])[rows == 0][0] / 1e6),
        commits_a_second=1e9 * begun_between(snapshots, warm_ns, end_ns) / (end_ns - warm_ns),
        late_ms=percentiles((sent.sent_ns - sent.due_ns) / 1e6, (99.0,))[0],
        rate=1e9 * sent.due_ns.size / (int(seen.max()) - int(sent.sent_ns[0])),
        stolen_percent=watched.stolen_percent,
    )


def rows_seen(writers: Mapping[str, int], snapshots: Sequence[Snapshot]) -> tuple[Int64s, Int64s]:
    """Return which payments have rows, and when each row was seen first (nanoseconds)."""
    seen_ns = first_seen_ns(set(writers.values()), snapshots)
    rows = np.array([row_of(transaction) for transaction in writers])
    return rows, np.array([seen_ns[writer] for writer in writers.values()])


def percentiles(values: NDArray[np.float64], at: Sequence[float]) -> tuple[float, ...]:
    """Take values that were measured: the next higher one, and nothing in between."""
    return tuple(map(float, np.percentile(values, at, method="higher")))


Found = dict[tuple[KafkaClient, str], list[Latency]]
"""The runs of a client with a stream."""


def measure_latency(bench: Bench, on_progress: OnProgress) -> Section:
    """Measure the latency of every stream with every client."""
    loads = streams(2, 50_000) if bench.is_quick else streams(12, 500_000)
    if not bench.is_quick:
        watch(bench.stack, bench.clients[0], steady_stream(SLOW, BROKER_WARM_UP_SECONDS))
    found: Found = {}
    plan = list(product(bench.clients, loads))
    for client, stream in in_turns(bench.repeats, plan, on_progress):
        run = summarise(watch(bench.stack, client, stream), stream.warm_up_seconds)
        found.setdefault((client, stream.name), []).append(run)
    return section_of(found)


def watch(
    stack: Settings, client: KafkaClient, stream: Stream, worker: Sequence[str] = (WORKER,)
) -> Watched:
    """Start a worker, send it payments, and look on."""
    settings = create_topics(stack, PARTITIONS)
    empty_tables(settings)
    url = settings.database_url.get_secret_value()
    with (
        TemporaryDirectory() as directory,
        script_beside(settings, *worker, kafka_client=client),
    ):
        kept = Path(directory) / "sent.npz"
        _await(lambda: count_taken_over(settings) == 2 * PARTITIONS)
        with observing(url) as snapshots:
            psutil.cpu_times_percent()  # from now on
            send(settings, stream, kept)
            _await(lambda: read_committed(settings).n_in == stream.n_payments)
            stolen_percent = getattr(psutil.cpu_times_percent(), "steal", 0.0)
            time.sleep(100 * LOOK_SECONDS)  # for another look
        writers = writers_of_flagged(url)
        return Watched(settings, read_sent(kept), writers, snapshots, stolen_percent)


def send(settings: Settings, stream: Stream, kept: Path) -> None:
    """Send a load; when each payment was sent is kept in a file. Blocks."""
    load = "-m", "bench.programs.load", stream.n_payments, stream.rate, kept
    run_script(settings, *load, "--slice-seconds", stream.slice_seconds)


def _await(condition: Callable[[], bool]) -> None:
    assert wait_until(condition, PATIENCE_SECONDS), "the worker does not go on"


def section_of(found: Found) -> Section:
    """Arrange what was found: a table for each client, a column for each stream."""
    clients = list(dict.fromkeys(client for client, _ in found))
    goals = [goal for client in clients for goal in _goals(client, found)]
    return Section("latency", "Latency", HOW, [_table(each, found) for each in clients], goals)


def _table(client: KafkaClient, found: Found) -> Table:
    columns = {stream: runs for (of, stream), runs in found.items() if of == client}

    def line(name: str, figure: Callable[[Latency], float], digits: int = 0) -> Row:
        return row(name, [list(map(figure, runs)) for runs in columns.values()], digits)

    return Table(
        f"From produced to visible, {client}",
        list(columns),
        [
            line("p50, ms", lambda run: run.ms[P50], 1),
            line("p99, ms", lambda run: run.ms[P99], 1),
            line("p99.9, ms", lambda run: run.ms[P999], 1),
            line("until the broker has it, p50, ms", lambda run: run.acknowledged_ms, 1),
            line("first row after a start, from the broker, ms", lambda run: run.first_ms),
            line("commits/s", lambda run: run.commits_a_second),
            line("payments/s, to the last row", lambda run: run.rate),
            line("rows looked at", lambda run: run.n_rows),
            line("sent late, p99, ms", lambda run: run.late_ms, 1),
            line("processor time that the host took, %", lambda run: run.stolen_percent, 1),
        ],
    )


def _goals(client: KafkaClient, found: Found) -> list[Goal]:
    def goal(name: str, stream: str, figure: Callable[[Latency], float], most: float) -> Goal:
        middle = Figure.of(list(map(figure, found[client, stream]))).median
        return Goal(f"{client}, {stream}: {name}", middle, most=most)

    return [
        goal("p50, ms", SLOW, lambda run: run.ms[P50], 8),
        goal("p99, ms", SLOW, lambda run: run.ms[P99], 20),
        goal("commits/s", SLOW, lambda run: run.commits_a_second, 200),
        goal("first row after a start, ms", SLOW, lambda run: run.first_ms, 250),
        goal("p99, ms", FAST, lambda run: run.ms[P99], 60),
    ]
