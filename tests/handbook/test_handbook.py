from datetime import UTC, datetime

import numpy as np
import pytest
from numpy.typing import NDArray

from flagpost.core.features import FEATURE_NAMES
from flagpost.core.scorer import Floats
from flagpost.training.benchmark import run_split
from flagpost.training.handbook import HandbookTransactions
from flagpost.training.kinds import FeatureSet, Kind
from flagpost.training.protocol import Population, Split, in_test_week, measure
from tests.handbook.slow_windows import customer_windows, terminal_windows

FOLDS = (115, 122, 129, 136)


def column(matrix: Floats, name: str) -> Floats:
    return matrix[:, FEATURE_NAMES.index(name)]


def same_within_rounding(ours: Floats, theirs: Floats) -> bool:
    return bool(np.abs(ours - theirs).max() < 1e-9)


def test_the_split_of_chapter_3_has_the_rows_and_frauds_of_the_book(population: Population) -> None:
    split = Split(115, train_days=7)
    train = population.where(split.trained(population.day))
    test = population.where(in_test_week(population, split.test_day))
    assert (train.day.size, train.is_fraud.sum()) == (67_240, 598)
    assert (test.day.size, test.is_fraud.sum()) == (58_264, 385)


def test_a_perfect_model_reaches_the_card_precision_that_the_test_week_allows(
    population: Population,
) -> None:
    test = population.where(in_test_week(population, Split(115).test_day))
    assert measure(test, test.is_fraud.astype(np.float64))["CP@100"] == pytest.approx(
        0.397, abs=5e-4
    )


def test_a_logistic_regression_on_the_features_of_the_book_scores_as_in_the_book(
    matrix: Floats, population: Population
) -> None:
    split = Split(115, train_days=7)
    outcome = run_split(matrix, population, split, FeatureSet.BOOK, Kind.LOGISTIC_REGRESSION)
    assert {name: round(value, 3) for name, value in outcome.metrics.items()} == {
        "AUC": 0.871, "AP": 0.606, "CP@100": 0.291,
    }  # fmt: skip


@pytest.fixture(scope="session")
def folds(matrix: Floats, population: Population) -> NDArray[np.float64]:
    """AUC, AP and CP@100 of the streaming features on each fold, shape (4, 3)."""
    outcomes = [
        run_split(matrix, population, Split(day), FeatureSet.STREAMING, Kind.LOGISTIC_REGRESSION)
        for day in FOLDS
    ]
    return np.array([list(outcome.metrics.values()) for outcome in outcomes])


def test_the_streaming_features_surpass_the_models_of_the_book_in_chapter_3(
    folds: NDArray[np.float64],
) -> None:
    assert (folds[0] >= [0.895, 0.755, 0.30]).all(), folds[0]


def test_the_streaming_features_surpass_the_models_of_the_book_over_four_folds(
    folds: NDArray[np.float64],
) -> None:
    assert (folds.mean(axis=0) >= [0.885, 0.75, 0.308]).all(), folds.mean(axis=0)


@pytest.mark.parametrize(("days", "window"), [(1, "24h"), (7, "7d"), (30, "30d")])
def test_customer_windows_are_those_of_the_book_for_every_row(
    matrix: Floats, transactions: HandbookTransactions, days: int, window: str
) -> None:
    count, mean = customer_windows(
        transactions.customer_id, transactions.time_seconds, transactions.amount_cents / 100, days
    )
    assert same_within_rounding(column(matrix, f"customer_tx_count_{window}"), count)
    assert same_within_rounding(column(matrix, f"customer_avg_amount_{window}"), mean)


@pytest.mark.parametrize("days", [1, 7, 30])
def test_terminal_windows_are_those_of_the_book_for_every_row(
    matrix: Floats, transactions: HandbookTransactions, days: int
) -> None:
    count, risk = terminal_windows(
        transactions.terminal_id, transactions.time_seconds, transactions.is_fraud, days
    )
    assert same_within_rounding(column(matrix, f"terminal_tx_count_{days}d"), count)
    assert same_within_rounding(column(matrix, f"terminal_risk_{days}d"), risk)


def test_weekend_and_night_are_those_of_the_calendar(
    matrix: Floats, transactions: HandbookTransactions
) -> None:
    rows = np.arange(0, transactions.time_seconds.size, 1_000)
    first = datetime(2018, 4, 1, tzinfo=UTC).timestamp()
    moments = [
        datetime.fromtimestamp(first + seconds, UTC)
        for seconds in transactions.time_seconds[rows].tolist()
    ]
    is_weekend = [moment.weekday() >= 5 for moment in moments]
    is_night = [moment.hour <= 6 for moment in moments]
    assert np.array_equal(column(matrix, "is_weekend")[rows], is_weekend)
    assert np.array_equal(column(matrix, "is_night")[rows], is_night)
