"""The Handbook's data is not part of the repository: these tests run where the file is."""

import os
from pathlib import Path

import pytest

from flagpost.core.scorer import Floats
from flagpost.training.handbook import HandbookTransactions, observe_handbook, read_handbook
from flagpost.training.protocol import Population, Split

HERE = Path(__file__).parent
BESIDE_THE_PROJECT = HERE.parents[1] / ".." / "shared" / "handbook" / "transactions.parquet"
HANDBOOK = Path(os.environ.get("FLAGPOST_HANDBOOK", BESIDE_THE_PROJECT))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if HANDBOOK.is_file():
        return
    if os.environ.get("FLAGPOST_HANDBOOK_REQUIRED") == "1":
        raise pytest.UsageError(f"{HANDBOOK} is missing: set FLAGPOST_HANDBOOK to the data's file")
    ours = [item for item in items if HERE in item.path.parents]
    config.hook.pytest_deselected(items=ours)
    items[:] = [item for item in items if item not in ours]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not HANDBOOK.is_file():
        terminalreporter.write_line(
            "The tests on the Fraud Detection Handbook's data did not run: FLAGPOST_HANDBOOK names "
            "no file.",
            yellow=True,
        )


@pytest.fixture(scope="session")
def transactions() -> HandbookTransactions:
    return read_handbook(HANDBOOK)


@pytest.fixture(scope="session")
def population(transactions: HandbookTransactions) -> Population:
    return Population(transactions.day, transactions.customer_id, transactions.is_fraud)


@pytest.fixture(scope="session")
def matrix(transactions: HandbookTransactions) -> Floats:
    """Features of all transactions, with the prior that is known when the first training ends."""
    return observe_handbook(transactions, transactions.mean_amount_cents(Split().train_end_day))
