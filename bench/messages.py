"""The messages of the benchmark: simulated card payments, each of about 214 bytes."""

import re
from datetime import date
from pathlib import Path

import numpy as np

from flagpost.training.simulator import simulate
from flagpost.training.simulator.log_writer import chunks, log_lines

CUSTOMERS, TERMINALS, SEED = 5_000, 10_000, 214
FIRST_DAY = date(2025, 1, 1)
LEAST_A_DAY = 9_000
"""These customers make some 9,500 payments a day."""

_LEFT_OUT = re.compile(rb',"(?:transaction_type|location_distance_km|is_online)":[^,}]*')
_NO_LABELS = np.empty(0, np.int64)


def write_messages(path: Path, count: int) -> None:
    """Write so many transactions, one a line; the same number gives the same bytes.

    Three descriptive fields are left out, so that a line has about 214 bytes.
    """
    days = count // LEAST_A_DAY + 2
    simulation = simulate(CUSTOMERS, TERMINALS, days, FIRST_DAY, SEED)
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        for rows, _ in chunks(simulation):
            wanted = rows[rows < count]
            if wanted.size:
                lines = log_lines(simulation, wanted, _NO_LABELS)
                file.write(_LEFT_OUT.sub(b"", lines.to_pybytes()))
    partial.replace(path)
