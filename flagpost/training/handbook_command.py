"""`flagpost handbook`: the field's standard benchmark, run on the project's own features."""

import time
from pathlib import Path
from typing import Annotated

import pandas as pd
from rich.console import Console
from rich.table import Table
from typer import Argument, Option

from flagpost.progress import progress_bar
from flagpost.training.benchmark import Outcome, run_split
from flagpost.training.handbook import HandbookTransactions, observe_handbook, read_handbook
from flagpost.training.kinds import FeatureSet, Kind
from flagpost.training.metrics import Bools
from flagpost.training.protocol import Population, Split, check_days
from flagpost.training.report import check_out


def handbook(
    transactions: Annotated[Path, Argument(help="A file with the Handbook's columns (.parquet).")],
    *,
    start_day: Annotated[int, Option(help="First day of the last week of training.")] = 115,
    train_days: Annotated[int, Option(min=1, help="How many days to train on.")] = 28,
    features: Annotated[
        FeatureSet, Option(help="This project's features or those of the book.")
    ] = FeatureSet.STREAMING,
    model: Annotated[Kind, Option(help="The kind of model.")] = Kind.LOGISTIC_REGRESSION,
    out: Annotated[
        Path | None, Option(help="Write the scores of the test week (.parquet).")
    ] = None,
) -> None:
    """Train and test by the protocol of the Fraud Detection Handbook, and print its metrics.

    Example: flagpost handbook transactions.parquet --features book --train-days 7
    """
    if out:
        check_out(out, ".parquet")
    split, rows = Split(start_day, train_days), read_handbook(transactions)
    population = Population(rows.day, rows.customer_id, rows.is_fraud)
    check_days(population, split)
    began = time.perf_counter()
    with progress_bar("Computing features") as on_progress:
        matrix = observe_handbook(rows, rows.mean_amount_cents(split.train_end_day), on_progress)
    feature_seconds = time.perf_counter() - began
    outcome = run_split(matrix, population, split, features, model)
    if out:
        _scores(rows, outcome).to_parquet(out, index=False)
    table = _table(population, split, outcome, feature_seconds)
    table.columns[0].header = f"{model}, {features} features"
    Console().print(table)


def _scores(rows: HandbookTransactions, outcome: Outcome) -> pd.DataFrame:
    return pd.DataFrame({
        "TRANSACTION_ID": rows.transaction_id[outcome.is_tested],
        "fraud_probability": outcome.fraud_probability,
    })  # fmt: skip


def _table(population: Population, split: Split, outcome: Outcome, feature_seconds: float) -> Table:
    table = Table("", "training", "test")
    for column in table.columns[1:]:
        column.justify = "right"
    fitted, is_fraud = split.trained(population.day), population.is_fraud
    table.add_row("transactions", _count(fitted), _count(outcome.is_tested))
    table.add_row("frauds", _count(is_fraud & fitted), _count(is_fraud & outcome.is_tested))
    if outcome.trained.n_rows < fitted.sum():
        table.add_row("fitted on a sample of", f"{outcome.trained.n_rows:,}", "")
    for name, value in outcome.metrics.items():
        table.add_row(name, "", f"{value:.4f}")
    table.add_section()
    table.add_row(f"seconds for features of {fitted.size:,}", f"{feature_seconds:.1f}", "")
    table.add_row("seconds for training", f"{outcome.trained.seconds:.1f}", "")
    return table


def _count(rows: Bools) -> str:
    return f"{int(rows.sum()):,}"
