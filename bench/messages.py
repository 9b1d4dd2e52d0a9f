"""The messages of the benchmark: simulated card payments, each of about 214 bytes."""

import re
from datetime import date
from pathlib import Path

from flagpost.training.simulator import simulate
from flagpost.training.simulator.log_writer import chunks, log_lines

CUSTOMERS, TERMINALS, SEED = 5_000, 10_000, 214
FIRST_DAY = date(2025, 1, 1)
LEAST_A_DAY = 9_000
"""These customers make some 9,500 payments a day."""

_LEFT_OUT = re.compile(rb',"(?:transaction_type|location_distance_km|is_online)":[^,}]*')


def count_labels(path: Path) -> int:
    """Count the labels among the messages."""
    with path.open("rb") as file:
        return sum(b'"type":"label"' in line for line in file)


def write_messages(path: Path, count: int) -> None:
    """Write so many transactions and what labels they get meanwhile, one a line.

    The same number gives the same bytes. Three descriptive fields are left out, so that a
    transaction has about 214 bytes.
    """
    days = count // LEAST_A_DAY + 2
    simulation = simulate(CUSTOMERS, TERMINALS, days, FIRST_DAY, SEED)
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        for rows, labels in chunks(simulation):
            wanted = rows[rows < count]
            if wanted.size:
                labelled = labels[simulation.labels.transaction[labels] < count]
                lines = log_lines(simulation, wanted, labelled)
                file.write(_LEFT_OUT.sub(b"", lines.to_pybytes()))
    partial.replace(path)
