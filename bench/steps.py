"""Where the time of a batch goes: the worker as it is, but reading a file, with a stopwatch."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event
from typing import Any
from unittest.mock import patch

import structlog

from bench.log_source import LogSource
from bench.messages import find_log
from bench.parts import Bench, OnProgress, in_turns
from bench.results import Section, Table, row
from bench.servers import PARTITIONS, empty_tables, run_script
from flagpost import processing
from flagpost.at_once import AtOnce
from flagpost.core import micro_batch
from flagpost.core.decoding import MessageDecoder
from flagpost.event_order import EventOrder
from flagpost.postgres.store import PostgresStore
from flagpost.scoring import Parts, open_worker
from flagpost.settings import KafkaClient, Settings
from flagpost.warm_up import calm_garbage_collector

BATCH = "all of it"
_STEPS: dict[str, tuple[object, str]] = {
    "decode: JSON to columns, and what is wrong": (MessageDecoder, "decode"),
    "order: hold back what is ahead": (EventOrder, "release"),
    "state: windows, terminals and duplicates": (micro_batch, "observe_transactions"),
    "score and decide": (micro_batch, "decide_transactions"),
    "effects: journal segments, reasons": (processing, "effects_of"),
    "commit: one PostgreSQL transaction": (PostgresStore, "commit"),
}


HOW = (
    "The worker as it is with a stopwatch, but reading a file, and one step after the other: a "
    "worker takes the steps of several batches at once. Below it the poll alone: Flagpost's own "
    "source reads the topic and hands over the bytes."
)


def measure_steps(bench: Bench, on_progress: OnProgress) -> Section:
    """Time the steps, and the polls with each client."""
    log = find_log(bench.events)
    settings = bench.filled(log, PARTITIONS)
    steps, polls = list[dict[str, float]](), dict[KafkaClient, list[float]]()
    for client in in_turns(bench.repeats, [None, *bench.clients], on_progress):
        if client is None:
            steps.append(time_steps(settings, log))
        else:
            polls.setdefault(client, []).append(_poll_us(settings, client, bench.events))
    return section_of(steps, polls)


def section_of(steps: list[dict[str, float]], polls: dict[KafkaClient, list[float]]) -> Section:
    """Arrange the microseconds of each step, from runs that have the same steps."""
    rows = [row(name, [[run[name] for run in steps]], 2) for name in steps[0]]
    rows += [row(f"poll: {client}", [runs], 2) for client, runs in polls.items()]
    return Section("steps", "Profile", HOW, [Table("Steps", ["us per event"], rows)])


def _poll_us(settings: Settings, client: KafkaClient, events: int) -> float:
    usage = run_script(settings, "-m", "bench.programs.poll", events, kafka_client=client)
    return 1e6 * float(usage.stdout) / events


def time_steps(settings: Settings, log: Path) -> dict[str, float]:
    """Score a log without Kafka; microseconds an event for each step and for all together.

    One step is taken after the other, so that none is slowed by another; a worker takes the steps
    of several batches at once.
    """
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    empty_tables(settings)
    source = LogSource(log, settings.topic, settings.labels_topic, PARTITIONS)
    seconds: Counter[str] = Counter()
    with (
        patch.object(processing, "ThreadPoolExecutor", lambda *_: AtOnce()),
        open_worker(settings, Event(), Parts(open_source=lambda *_: source)) as scorer,
        _stopwatch(seconds),
    ):
        calm_garbage_collector()
        scorer.run(until_caught_up=True)
    events = scorer.tally.counts.n_in
    steps = {step: 1e6 * seconds[step] / events for step in _STEPS}
    return {**steps, BATCH: 1e6 * scorer.tally.seconds / events}


@contextmanager
def _stopwatch(seconds: Counter[str]) -> Iterator[None]:
    """Add up the time spent in each step."""
    with ExitStack() as stack:
        for step, (owner, name) in _STEPS.items():
            timed = _timed(getattr(owner, name), step, seconds)
            stack.enter_context(patch.object(owner, name, timed))
        yield


def _timed(function: Callable[..., Any], step: str, seconds: Counter[str]) -> Callable[..., Any]:
    def run(*args: object, **named: object) -> object:
        began = time.perf_counter()
        try:
            return function(*args, **named)
        finally:
            seconds[step] += time.perf_counter() - began  # type: ignore[assignment]

    return run
