"""The messages of the benchmark: simulated card payments, each of about 214 bytes."""

import heapq
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from datetime import date
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.servers import BENCH_HOME
from flagpost.training.simulator import simulate
from flagpost.training.simulator.log_writer import chunks, log_lines

CUSTOMERS, TERMINALS, SEED = 5_000, 10_000, 214
FIRST_DAY = date(2025, 1, 1)
LEAST_A_DAY = 9_000
"""These customers make some 9,500 payments a day."""

POPULATIONS = 10
LABEL = b'"type":"label"'

_FIRST_DIGIT = re.compile(rb'"(TX|C|T)0')
_LEFT_OUT = re.compile(rb',"(?:transaction_type|location_distance_km|is_online)":[^,}]*')


def find_log(events: int) -> Path:
    """Find the log of an earlier benchmark or make it. Blocks."""
    return _find(BENCH_HOME / f"payments-and-labels-{events}.jsonl", write_log, events)


def find_crowded_log(events: int) -> Path:
    """Find or make one with ten times the customers and terminals. Blocks."""
    return _find(BENCH_HOME / f"payments-of-a-crowd-{events}.jsonl", write_crowded_log, events)


def _find(log: Path, write: Callable[[Path, int], None], events: int) -> Path:
    if not log.exists():
        with ProcessPoolExecutor(1, get_context("spawn")) as apart:  # see `Usage`
            apart.submit(write, log, events).result()
    return log


def count_labels(path: Path) -> int:
    """Count the labels among the messages."""
    with path.open("rb") as file:
        return sum(LABEL in line for line in file)


def write_log(path: Path, events: int, seed: int = SEED) -> None:
    """Write so many transactions and what labels they get meanwhile, one a line.

    The same arguments give the same bytes. Three descriptive fields are left out, so that a
    transaction has about 214 bytes.
    """
    days = events // LEAST_A_DAY + 2
    simulation = simulate(CUSTOMERS, TERMINALS, days, FIRST_DAY, seed)
    draft = path.with_suffix(".draft")
    with draft.open("wb") as file:
        for rows, labels in chunks(simulation):
            wanted = rows[rows < events]
            if wanted.size:
                labelled = labels[simulation.labels.transaction[labels] < events]
                lines = log_lines(simulation, wanted, labelled)
                file.write(_LEFT_OUT.sub(b"", lines.to_pybytes()))
    draft.replace(path)


def write_crowded_log(path: Path, events: int) -> None:
    """Merge the logs of ten populations, so many transactions together, by time.

    The simulator draws no population that large. Names differ in their first digit.
    """
    with TemporaryDirectory() as folder, ExitStack() as files:
        logs: list[Iterator[bytes]] = []
        for number in range(POPULATIONS):
            log = Path(folder) / f"{number}.jsonl"
            write_log(log, events // POPULATIONS, SEED + number)
            renamed = rb'"\g<1>%d' % number
            lines = files.enter_context(log.open("rb"))
            logs.append(map(partial(_FIRST_DIGIT.sub, renamed), lines))
        draft = path.with_suffix(".draft")
        with draft.open("wb") as file:
            file.writelines(heapq.merge(*logs, key=moment_of))
        draft.replace(path)


def moment_of(line: bytes) -> bytes:
    """Return when a transaction happened, or when a label was known."""
    return line.partition(b'"known_at":"' if LABEL in line else b'"timestamp":"')[2][:20]
