import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from flagpost.core.calendar import DAY_US, HOUR_US
from flagpost.core.history import Int64s
from flagpost.errors import BadConfiguration
from flagpost.events import TransactionDecoder
from flagpost.training.offline import DecodedLog, decode_log
from flagpost.training.train import Budget, Plan, divide, train

FIRST_DAY = 20_000  # since 1970


def times_of(*days: int) -> Int64s:
    """Return a time within each day, counted from the first day of the log."""
    return (FIRST_DAY + np.array(days, np.int64)) * DAY_US + 5 * HOUR_US


def write_log(path: Path, days: int, fraud_days: tuple[int, ...]) -> Path:
    """Ten payments a day; on the days of fraud there is one more, ten times as large."""
    lines: list[dict[str, object]] = []
    for day in range(days):
        for n in range(11 if day in fraud_days else 10):
            at = datetime.fromtimestamp((FIRST_DAY + day) * 86_400 + 3_600 * n, UTC).isoformat()
            lines.append({"transaction_id": f"T{day}-{n}", "timestamp": at, "user_id": f"U{n % 10}",
                          "amount": 500 if n == 10 else 50})  # fmt: skip
    for day in fraud_days:
        at = datetime.fromtimestamp((FIRST_DAY + day + 2) * 86_400, UTC).isoformat()
        lines.append({"type": "label", "transaction_id": f"T{day}-10", "timestamp": at,
                      "is_fraud": True, "known_at": at})  # fmt: skip
    path.write_text("\n".join(map(json.dumps, lines)))
    return path


def decoded(path: Path) -> DecodedLog:
    return decode_log(path, TransactionDecoder(), (FIRST_DAY + 100) * DAY_US)


def days_of(plan: Plan, *days: int) -> tuple[list[bool], list[bool]]:
    times = times_of(*days)
    periods = divide(times, plan)
    return periods.fitted(times).tolist(), periods.tested(times).tolist()


def test_the_first_days_warm_up_and_the_last_ones_test_after_a_gap() -> None:
    plan = Plan(warm_up_days=2, gap_days=1, test_days=1)

    fitted, tested = days_of(plan, 0, 1, 2, 3, 4, 5)

    assert fitted == [False, False, True, True, False, False]
    assert tested == [False, False, False, False, False, True]


def test_rows_are_divided_by_their_day_and_not_by_their_place() -> None:
    fitted, tested = days_of(Plan(warm_up_days=1, gap_days=0, test_days=1), 3, 0, 2, 3, 1)

    assert fitted == [False, False, True, False, True]
    assert tested == [True, False, False, True, False]


def test_a_log_too_short_for_its_plan_is_refused() -> None:
    with pytest.raises(
        BadConfiguration,
        match="the log has 4 days, from 2024-10-04 to 2024-10-07, which leaves no days",
    ):
        divide(times_of(0, 1, 2, 3), Plan(warm_up_days=2, gap_days=1, test_days=1))


def test_a_log_without_a_transaction_is_refused() -> None:
    with pytest.raises(BadConfiguration, match="no readable transaction"):
        divide(times_of(), Plan())


@pytest.mark.parametrize(
    ("fraud_days", "part"), [((1, 18), "training"), ((1, 8), "test"), ((), "training")]
)
def test_days_without_a_fraud_are_refused(
    fraud_days: tuple[int, ...], part: str, tmp_path: Path
) -> None:
    log = decoded(write_log(tmp_path / "log.jsonl", 20, fraud_days))

    with pytest.raises(BadConfiguration, match=f"the {part} days hold 0 frauds"):
        train(log, Plan(warm_up_days=5, gap_days=2, test_days=5), Budget(), "log.jsonl")


def test_a_model_knows_what_it_was_fitted_on_and_finds_what_stands_out(tmp_path: Path) -> None:
    fraud_days = (1, 6, 8, 11, 13, 16, 18)
    log = decoded(write_log(tmp_path / "log.jsonl", 20, fraud_days))

    plan, budget = Plan(warm_up_days=5, gap_days=2, test_days=5), Budget(flags_per_thousand=40)

    model = train(log, plan, budget, "log.jsonl")

    assert model.training is not None
    assert (model.training.log, model.training.n_frauds) == ("log.jsonl", 3)
    assert model.training.n_transactions == 8 * 10 + 3
    assert model.training.first_event == "2024-10-09T00:00:00+00:00"
    assert model.population_mean_cents == pytest.approx((130 * 5_000 + 4 * 50_000) / 134)
    assert model.metrics == {
        "roc_auc": 1.0, "average_precision": 1.0, "precision": 1.0, "recall": 1.0,
    }  # fmt: skip
