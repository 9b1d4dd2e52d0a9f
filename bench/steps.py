"""Where the time of a batch goes: the worker as it is, but reading a file, with a stopwatch."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import Any
from unittest.mock import patch

import numpy as np
import structlog
from numpy.typing import NDArray

from bench.latency import RATES, SLOW
from bench.log_source import LogSource
from bench.messages import find_log
from bench.parts import Bench, OnProgress, in_turns
from bench.payments import draw_payments
from bench.programs.load import FLAGGED_A_SECOND
from bench.results import Figure, Goal, Row, Section, Table, row
from bench.servers import PARTITIONS, empty_tables, run_script
from flagpost import processing
from flagpost.at_once import AtOnce
from flagpost.core import micro_batch
from flagpost.core.decoding import MessageDecoder
from flagpost.core.effects import Counts, Effects
from flagpost.event_order import EventOrder
from flagpost.postgres.store import PostgresStore
from flagpost.scoring import Parts, open_worker
from flagpost.settings import KafkaClient, Settings
from flagpost.warm_up import calm_garbage_collector
from flagpost.worker import POLLS_OF_A_BATCH

ALL_STEPS = "all steps"
WHOLE = "the whole run, with reading the file"


class PatientStore(PostgresStore):
    """Waits for each commit, as nothing else is to be done meanwhile."""

    def begin_commit(self, effects: Effects) -> Callable[[], Counts]:
        """Commit a batch."""
        counts = super().begin_commit(effects)()
        return lambda: counts


_STEPS: dict[str, tuple[object, str]] = {
    "decode: JSON to columns, and what is wrong": (MessageDecoder, "decode"),
    "order: hold back what is ahead": (EventOrder, "release"),
    "state: windows, terminals and duplicates": (micro_batch, "observe_transactions"),
    "score and decide": (micro_batch, "decide_transactions"),
    "effects: journal segments, reasons": (processing, "effects_of"),
    "commit: one PostgreSQL transaction": (PatientStore, "begin_commit"),
}


HOW = (
    "The worker as it is with a stopwatch, but reading a file, and one step after the other: a "
    "worker takes the steps of several batches at once. Processor time is that of the worker "
    "alone; on the clock, most of a commit is waiting for PostgreSQL. The poll stands apart: "
    "Flagpost's own source reads the topic and hands over the bytes. A dozen payments, some "
    "5 ms after those before, are about what a worker gets of a stream of 2,000 a second: the "
    "processor does something else between two batches."
)
MOST_PROCESSOR_US = 3.0
DOZEN = 12
DOZENS = 1_000

Spent = NDArray[np.float64]
"""(2,) on the clock and of this process's processors, both in seconds or in microseconds."""


def measure_steps(bench: Bench, on_progress: OnProgress) -> Section:
    """Time the steps, and the polls with each client."""
    log = find_log(bench.events)
    settings = bench.filled(log, PARTITIONS)
    # Nothing is read while another batch is scored, so one poll has to bring a whole batch.
    asked = POLLS_OF_A_BATCH * settings.batch_messages
    whole_batches = settings.model_copy(update={"batch_messages": asked})
    steps, dozens = list[dict[str, Spent]](), list[dict[str, Spent]]()
    polls = dict[KafkaClient, list[float]]()
    for client in in_turns(bench.repeats, [None, *bench.clients], on_progress):
        if client is None:
            steps.append(time_steps(whole_batches, log))
            dozens.append(time_dozens(settings))
        else:
            polls.setdefault(client, []).append(_poll_us(settings, client, bench.events))
    return section_of(steps, dozens, polls)


def section_of(
    steps: list[dict[str, Spent]],
    dozens: list[dict[str, Spent]],
    polls: dict[KafkaClient, list[float]],
) -> Section:
    """Arrange the microseconds of each step, from runs that have the same steps."""
    polled = [row(client, [runs], 2) for client, runs in polls.items()]
    kinds = ["on the clock", "of processor time"]
    tables = [
        Table("Steps, us per event", kinds, _rows(steps, 2)),
        Table("Steps, us per dozen payments", kinds, _rows(dozens, 0)),
        Table("Poll, us per event", ["on the clock"], polled),
    ]
    cost = Figure.of([float(run[ALL_STEPS][1]) for run in steps]).median
    goal = Goal("all steps, us of processor time", cost, most=MOST_PROCESSOR_US, digits=2)
    return Section("steps", "Profile", HOW, tables, [goal])


def _rows(runs: list[dict[str, Spent]], digits: int) -> list[Row]:
    return [
        row(step, [[float(run[step][kind]) for run in runs] for kind in (0, 1)], digits)
        for step in runs[0]
    ]


def _poll_us(settings: Settings, client: KafkaClient, events: int) -> float:
    usage = run_script(settings, "-m", "bench.programs.poll", events, kafka_client=client)
    return 1e6 * float(usage.stdout) / events


def time_dozens(settings: Settings) -> dict[str, Spent]:
    """Score payments of the last seconds, a dozen at a time; microseconds a dozen for each step."""
    # Half of what a poll asks for is asked of the labels, and there are none.
    asked = settings.model_copy(update={"batch_messages": 2 * DOZEN})
    with TemporaryDirectory() as folder:
        log = Path(folder) / "dozens.jsonl"
        write_dozens(log)
        spent = time_steps(asked, log)
    del spent[WHOLE]  # it waits between two batches
    return {step: DOZEN * each for step, each in spent.items()}


def write_dozens(log: Path) -> None:
    """Write payments that happened at a steady rate until now, one a line."""
    payments = draw_payments(DOZEN * DOZENS, FLAGGED_A_SECOND / RATES[SLOW])
    first = datetime.now(UTC) - timedelta(seconds=DOZEN * DOZENS / RATES[SLOW])
    log.write_bytes(
        b"".join(
            payments.message(number, _after(first, number)) + b"\n"
            for number in range(DOZEN * DOZENS)
        )
    )


def _after(first: datetime, number: int) -> bytes:
    return (first + timedelta(seconds=number / RATES[SLOW])).isoformat().encode()


def time_steps(settings: Settings, log: Path) -> dict[str, Spent]:
    """Score a log without Kafka; microseconds an event for each step and for all together.

    One step is taken after the other, so that none is slowed by another; a worker takes the steps
    of several batches at once.
    """
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    empty_tables(settings)
    source = LogSource(log, settings.topic, settings.labels_topic, PARTITIONS)
    spent = {step: np.zeros(2) for step in (*_STEPS, WHOLE)}
    with (
        patch.object(processing, "ThreadPoolExecutor", lambda *_: AtOnce()),
        open_worker(settings, Event(), Parts(lambda *_: source, PatientStore)) as scorer,
        _stopwatches(spent),
    ):
        calm_garbage_collector()
        _timed(scorer.run, spent[WHOLE])(until_caught_up=True)
    whole = spent.pop(WHOLE)
    sums = {ALL_STEPS: np.sum([*spent.values()], axis=0), WHOLE: whole}
    return {step: 1e6 * each / scorer.tally.counts.n_in for step, each in (spent | sums).items()}


@contextmanager
def _stopwatches(spent: Mapping[str, Spent]) -> Iterator[None]:
    """Add up what is spent in each step."""
    with ExitStack() as stack:
        for step, (owner, name) in _STEPS.items():
            timed = _timed(getattr(owner, name), spent[step])
            stack.enter_context(patch.object(owner, name, timed))
        yield


def _timed(function: Callable[..., Any], spent: Spent) -> Callable[..., Any]:
    def run(*args: object, **named: object) -> object:
        began = _now()
        try:
            return function(*args, **named)
        finally:
            np.add(spent, _now() - began, out=spent)

    return run


def _now() -> Spent:
    return np.array([time.perf_counter(), time.process_time()])
