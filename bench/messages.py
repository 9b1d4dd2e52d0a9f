"""The messages of the benchmark: simulated card payments, each of about 214 bytes."""

import re
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from multiprocessing import get_context
from pathlib import Path

from bench.servers import BENCH_HOME
from flagpost.training.simulator import simulate
from flagpost.training.simulator.log_writer import chunks, log_lines

CUSTOMERS, TERMINALS, SEED = 5_000, 10_000, 214
FIRST_DAY = date(2025, 1, 1)
LEAST_A_DAY = 9_000
"""These customers make some 9,500 payments a day."""

_LEFT_OUT = re.compile(rb',"(?:transaction_type|location_distance_km|is_online)":[^,}]*')


def find_log(events: int, times_customers: int = 1) -> Path:
    """Find the log of an earlier benchmark or make it, in another process: see `Usage`. Blocks."""
    crowd = f"-of-{times_customers}-times-the-customers" if times_customers > 1 else ""
    log = BENCH_HOME / f"payments-and-labels-{events}{crowd}.jsonl"
    if not log.exists():
        with ProcessPoolExecutor(1, get_context("spawn")) as apart:
            apart.submit(write_log, log, events, times_customers).result()
    return log


def count_labels(path: Path) -> int:
    """Count the labels among the messages."""
    with path.open("rb") as file:
        return sum(b'"type":"label"' in line for line in file)


def write_log(path: Path, events: int, times_customers: int = 1) -> None:
    """Write so many transactions and what labels they get meanwhile, one a line.

    The same arguments give the same bytes. Three descriptive fields are left out, so that a
    transaction has about 214 bytes.
    """
    days = events // (LEAST_A_DAY * times_customers) + 2
    customers, terminals = CUSTOMERS * times_customers, TERMINALS * times_customers
    simulation = simulate(customers, terminals, days, FIRST_DAY, SEED)
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        for rows, labels in chunks(simulation):
            wanted = rows[rows < events]
            if wanted.size:
                labelled = labels[simulation.labels.transaction[labels] < events]
                lines = log_lines(simulation, wanted, labelled)
                file.write(_LEFT_OUT.sub(b"", lines.to_pybytes()))
    partial.replace(path)
