from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import flagpost
from flagpost.clock import latest_event_time_us
from flagpost.core.calendar import DAY_US
from flagpost.core.features import AMOUNT, FEATURE_NAMES
from flagpost.errors import BadConfiguration
from flagpost.events import TransactionDecoder
from flagpost.model import FraudModel
from flagpost.training.compare import Comparison, Plan, Rows, compare, divide
from flagpost.training.compare_command import parse_kinds
from flagpost.training.compare_report import markdown
from flagpost.training.compare_rows import frame_rows, log_rows
from flagpost.training.kinds import Kind
from flagpost.training.metrics import Bools
from flagpost.training.model_commands import app
from flagpost.training.offline import decode_log
from flagpost.training.protocol import measure

ROOT = Path(__file__).parents[2]
LOG = ROOT / "logFraud.json"
DAYS, PER_DAY = 28, 100
PLAN = Plan(train_days=7, test_weeks=2, flags_per_thousand=20.0)


def some_rows(seed: int = 1) -> Rows:
    """Four weeks of cards with one transaction a day; a fraud has a high amount, mostly."""
    rng, n = np.random.default_rng(seed), DAYS * PER_DAY
    is_fraud = rng.random(n) < 0.02
    matrix = rng.gamma(2, 10, (n, len(FEATURE_NAMES)))
    matrix[is_fraud, AMOUNT] += 100 * rng.random(int(is_fraud.sum()))
    return Rows(
        name="made up",
        matrix=matrix,
        event_time_us=np.repeat(np.arange(DAYS), PER_DAY) * DAY_US,
        customer=np.arange(n),
        is_fraud=is_fraud,
        frauds_known_by=lambda _: is_fraud,
    )


@pytest.fixture(scope="module")
def compared() -> Comparison:
    kinds = [Kind.LOGISTIC_REGRESSION, Kind.GRADIENT_BOOSTING]
    return compare(some_rows(), PLAN, kinds, {})


def test_each_model_is_measured_on_each_week(compared: Comparison) -> None:
    assert [result.model for result in compared.results] == [
        "logistic-regression",
        "gradient-boosting",
    ]
    for result in compared.results:
        assert {metric.size for metric in result.weekly.values()} == {2}
        assert result.n_fitted == compared.n_trained == 7 * PER_DAY
        assert 0.6 < result.mean("AUC") <= 1


def test_the_spread_is_the_standard_deviation_between_weeks(compared: Comparison) -> None:
    first = compared.results[0]
    one, other = first.weekly["AP"]
    assert first.mean("AP") == pytest.approx((one + other) / 2)
    assert first.deviation("AP") == pytest.approx(abs(one - other) / 2**0.5)


def test_scores_are_those_of_the_test_weeks(compared: Comparison) -> None:
    rows, weeks = some_rows(), divide(some_rows(), PLAN)
    first = compared.results[0]
    assert np.isfinite(first.fraud_probability).tolist() == weeks.tested.tolist()
    ranked = measure(
        weeks.population.where(weeks.tests[1]), first.fraud_probability[weeks.tests[1]]
    )
    assert ranked["AUC"] == first.weekly["AUC"][1]
    assert not (weeks.tested & weeks.fitted).any()
    assert weeks.known.tolist() == rows.is_fraud.tolist()


def test_rows_of_frames_are_those_of_the_log() -> None:
    decoded = decode_log(LOG, TransactionDecoder(), latest_event_time_us(1.0))
    expected, log = log_rows("log", decoded, PLAN), flagpost.read_log(LOG)
    repeated = pd.concat([log, log.tail(3)], ignore_index=True)
    found = frame_rows("log", repeated, flagpost.features(repeated))
    assert found.matrix.shape == expected.matrix.shape
    assert found.event_time_us.tolist() == expected.event_time_us.tolist()
    assert found.is_fraud.tolist() == expected.is_fraud.tolist()
    some_day_us = int(expected.event_time_us[7_000])
    known = expected.frauds_known_by(some_day_us)
    assert 0 < known.sum() < expected.is_fraud.sum()
    assert found.frauds_known_by(some_day_us).tolist() == known.tolist()
    pairs = set(zip(found.customer.tolist(), expected.customer.tolist(), strict=True))
    assert len(pairs) == 105


def test_a_saved_model_is_tested_on_the_same_rows() -> None:
    rows = some_rows()
    model = FraudModel(["amount"]).fit(rows.matrix, rows.is_fraud)
    saved = compare(rows, PLAN, [], {"mine": model}).results[0]
    assert (saved.model, saved.n_fitted, saved.training_seconds) == ("mine", None, None)
    assert saved.mean("AUC") > 0.6


def test_each_week_as_many_are_flagged_as_the_budget_allows() -> None:
    rows = some_rows()
    result = compare(rows, PLAN, [Kind.LOGISTIC_REGRESSION], {}).results[0]
    frauds = np.bincount(rows.event_time_us // (7 * DAY_US), rows.is_fraud)[2:]
    hits = result.weekly["recall"] * frauds
    assert hits / result.weekly["precision"] == pytest.approx(0.020 * 7 * PER_DAY)


def test_training_uses_only_the_labels_that_are_known_when_the_test_begins() -> None:
    asked = list[int]()

    def nothing_known(time_us: int) -> Bools:
        asked.append(time_us)
        return np.zeros(DAYS * PER_DAY, np.bool_)

    rows = some_rows()
    ignorant = Rows(
        rows.name, rows.matrix, rows.event_time_us, rows.customer, rows.is_fraud, nothing_known
    )
    with pytest.raises(BadConfiguration, match="training days hold 0 frauds"):
        compare(ignorant, PLAN, [Kind.LOGISTIC_REGRESSION], {})
    assert asked == [14 * DAY_US]


def test_a_week_without_fraud_is_left_out() -> None:
    rows = some_rows()
    rows.is_fraud[rows.event_time_us >= 21 * DAY_US] = False
    assert compare(rows, PLAN, [Kind.LOGISTIC_REGRESSION], {}).n_weeks == 1


def test_data_that_is_too_short_is_refused() -> None:
    with pytest.raises(BadConfiguration, match="made up covers 28 days, too few"):
        compare(some_rows(), Plan(), [Kind.LOGISTIC_REGRESSION], {})


def test_the_markdown_table_has_a_row_for_each_model(compared: Comparison) -> None:
    lines = markdown([compared], 20.0).splitlines()
    assert sum(line.startswith("| ") for line in lines) == 3
    assert "20 of 1,000" in lines[-1]


def test_an_unknown_kind_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(BadConfiguration, match=r"'oracle'.*random-forest"):
        parse_kinds("svc,oracle")


def test_the_command_compares_on_a_log_and_writes_a_table_and_a_picture(tmp_path: Path) -> None:
    arguments = ["compare", str(ROOT / "logFraud.json"), "--kinds", "logistic-regression"]
    result = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "logistic-regression" in (tmp_path / "comparison.md").read_text("utf-8")
    assert (tmp_path / "comparison.png").read_bytes().startswith(b"\x89PNG")
