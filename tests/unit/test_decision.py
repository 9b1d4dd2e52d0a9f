import numpy as np
import pytest

from flagpost.core.decision import RiskLevel, decide, explain, risk_level
from flagpost.core.features import AMOUNT, AMOUNT_RATIO, FEATURES, IS_NIGHT, TERMINAL_RUN
from flagpost.core.scorer import Scorer, tabulate
from flagpost.events import UNKNOWN_BALANCE


@pytest.mark.parametrize(
    ("probability", "cents", "balance", "flagged"),
    [
        (0.30, 100, UNKNOWN_BALANCE, True),
        (0.29, 100, UNKNOWN_BALANCE, False),
        (0.01, 9_500, 10_000, False),
        (0.01, 9_501, 10_000, True),
        (0.01, 1, 0, True),
        (0.01, 0, 0, False),
        (0.01, 1, -5, True),
    ],
)
def test_a_score_at_the_threshold_or_a_broken_balance_rule_flags(
    probability: float, cents: int, balance: int, flagged: bool
) -> None:
    decisions = decide(np.array([probability]), 0.3, np.array([cents]), np.array([balance]))
    assert decisions.is_flagged.tolist() == [flagged]


@pytest.mark.parametrize(
    ("probability", "level"),
    [(0.9, RiskLevel.HIGH), (0.5, RiskLevel.HIGH), (0.2, RiskLevel.MEDIUM), (0.1, RiskLevel.LOW)],
)
def test_the_risk_level_follows_the_probability(probability: float, level: RiskLevel) -> None:
    assert risk_level(probability, threshold=0.2) is level


def a_scorer() -> Scorer:
    columns = [AMOUNT, IS_NIGHT, AMOUNT_RATIO]
    knots = [np.array([0.0, 100.0]), np.array([0.0, 1.0]), np.array([0.0, 1.0, 5.0])]
    values = [np.array([-1.0, 1.0]), np.array([-0.5, 0.5]), np.array([0.0, 0.0, 2.0])]
    return tabulate(-3.0, columns, knots, values)


def a_row(**values: float) -> np.ndarray:
    row = np.zeros((1, len(FEATURES)))
    for name, value in values.items():
        row[0, [feature.name for feature in FEATURES].index(name)] = value
    return row


JUNE = np.array([1_750_464_000_000_000])  # 21 June 2025, midnight UTC


def test_reasons_are_the_features_that_raise_the_odds_strongest_first() -> None:
    row = a_row(amount=75, is_night=0, amount_ratio=4.72)
    [reasons] = explain(a_scorer(), row, np.array([False]), JUNE)
    assert [reason["feature"] for reason in reasons] == ["amount_ratio", "amount"]
    assert [reason["log_odds"] for reason in reasons] == [1.86, 0.5]
    assert reasons[0]["share"] == round(1.86 / 2.36, 4)
    assert reasons[0]["code"] == "UNUSUAL_AMOUNT"
    assert reasons[0]["text"] == "amount is 4.7 times this customer's 30-day average"


def test_the_balance_rule_stands_first() -> None:
    row = a_row(amount=75, amount_to_balance=1.25)
    [reasons] = explain(a_scorer(), row, np.array([True]), JUNE)
    assert reasons[0]["code"] == "HIGH_TX_VS_BALANCE"
    assert reasons[0]["value"] == 1.25
    assert reasons[1]["feature"] == "amount"


def test_a_run_of_frauds_is_told_with_the_day_since_when() -> None:
    knots = [np.array([0.0, 10.0])]
    scorer = tabulate(0.0, [TERMINAL_RUN], knots, [np.array([0.0, 5.0])])
    row = a_row(terminal_run=3, terminal_run_age_days=8.5)
    [[reason]] = explain(scorer, row, np.array([False]), JUNE)
    assert reason["code"] == "TERMINAL_COMPROMISED"
    assert reason["text"] == "3 confirmed frauds in a row at this terminal since 12 June"


def test_nothing_that_lowers_the_odds_is_a_reason() -> None:
    assert explain(a_scorer(), a_row(), np.array([False]), JUNE) == [[]]


def test_every_feature_can_say_its_value() -> None:
    for feature in FEATURES:
        assert feature.sentence.format(1.5, since="12 June") != feature.sentence
