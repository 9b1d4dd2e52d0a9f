"""Makes a model from nothing and says how long each step took.

Example: python -m bench.programs.train 183
"""

import time
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import typer

from bench.training import CUSTOMERS, TERMINALS, Times
from flagpost.model import FraudModel
from flagpost.training.handbook import FIRST_DAY, observe_handbook, read_handbook
from flagpost.training.simulator import simulate, write_handbook

SEED = 214


def main(days: int) -> None:
    """Simulate so many days, compute the features and fit all of it; print the times as JSON."""
    moments = [time.perf_counter()]
    simulation = simulate(CUSTOMERS, TERMINALS, days, FIRST_DAY, SEED)
    moments.append(time.perf_counter())
    with TemporaryDirectory() as folder:
        file = Path(folder) / "transactions.parquet"
        write_handbook(simulation, file)
        rows = read_handbook(file)
    del simulation
    moments.append(time.perf_counter())
    matrix = observe_handbook(rows, rows.mean_amount_cents(days))
    moments.append(time.perf_counter())
    FraudModel().fit(matrix, rows.is_fraud)
    moments.append(time.perf_counter())
    simulated, written, observed, fitted = (after - before for before, after in pairwise(moments))
    times = Times(
        transactions=len(matrix), simulate=simulated, write=written, observe=observed, fit=fitted
    )
    typer.echo(msgspec.json.encode(times).decode())


if __name__ == "__main__":
    typer.run(main)
