"""`python -m bench.unseen SEED ...`: the models on simulated populations that nobody looked at."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from flagpost.core.scorer import Floats
from flagpost.entry_point import entry_point
from flagpost.training.benchmark import run_split
from flagpost.training.handbook import (
    DAY_SECONDS,
    FIRST_DAY,
    HandbookTransactions,
    observe_handbook,
    read_handbook,
)
from flagpost.training.kinds import FeatureSet, Kind
from flagpost.training.protocol import Population, Split, in_test_week, measure
from flagpost.training.simulator import Scenario, Simulation, simulate
from flagpost.training.simulator.handbook_writer import write_handbook

CUSTOMERS, TERMINALS, DAYS = 5_000, 10_000, 183
START_DAY = 115
UNKNOWN_SECONDS = 7 * DAY_SECONDS
"""So long after its first fraud nobody can know that a terminal is bad."""


@entry_point
def main(seeds: Annotated[list[int], typer.Argument(help="Seeds of the simulator.")]) -> None:
    """Compare on the test week of the Handbook's chapter 3; the metric is the average precision.

    The oracle knows every fraud but those of a terminal's first seven days. About two minutes a
    seed.

    Example: python -m bench.unseen 7101 7202
    """
    table = Table("seed", "random forest, book, 7 days", "the same, 28 days", "streaming", "oracle")
    for seed in seeds:
        simulation = simulate(CUSTOMERS, TERMINALS, DAYS, FIRST_DAY, seed)
        with TemporaryDirectory() as folder:
            write_handbook(simulation, Path(folder) / "transactions.parquet")
            rows = read_handbook(Path(folder) / "transactions.parquet")
        table.add_row(str(seed), *(f"{each:.4f}" for each in _compare(simulation, rows)))
    Console().print(table)


def _compare(simulation: Simulation, rows: HandbookTransactions) -> list[float]:
    population = Population(rows.day, rows.customer_id, rows.is_fraud)
    matrix = observe_handbook(rows, rows.mean_amount_cents(Split(START_DAY).train_end_day))
    plans = [
        (Split(START_DAY, 7), FeatureSet.BOOK, Kind.RANDOM_FOREST),
        (Split(START_DAY, 28), FeatureSet.BOOK, Kind.RANDOM_FOREST),
        (Split(START_DAY, 28), FeatureSet.STREAMING, Kind.LOGISTIC_REGRESSION),
    ]
    found = [run_split(matrix, population, *plan).metrics["AP"] for plan in plans]
    tested = in_test_week(population, Split(START_DAY).test_day)
    oracle = _knowable(simulation, rows.transaction_id)[tested]
    return [*found, measure(population.where(tested), oracle)["AP"]]


def _knowable(simulation: Simulation, transaction_id: NDArray[np.int64]) -> Floats:
    """Mark the frauds that can be known: high amounts, stolen cards, terminals after a week."""
    scenario, payments = simulation.scenario, simulation.payments
    knowable = np.isin(scenario, [Scenario.HIGH_AMOUNT, Scenario.STOLEN_CARD]).astype(np.float64)
    first, last = dict[int, int](), dict[int, int]()
    for row in np.flatnonzero(scenario == Scenario.SKIMMED_TERMINAL).tolist():
        terminal, second = int(payments.terminal[row]), int(payments.second[row])
        if second - last.get(terminal, -UNKNOWN_SECONDS - 1) > UNKNOWN_SECONDS:
            first[terminal] = second
        last[terminal] = second
        knowable[row] = second - first[terminal] >= UNKNOWN_SECONDS
    return knowable[transaction_id]


if __name__ == "__main__":
    typer.run(main)
