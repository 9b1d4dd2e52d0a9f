"""Models side by side: trained on the same rows, tested on the same later weeks."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from flagpost.core.calendar import DAY_US
from flagpost.core.history import Int64s
from flagpost.core.scorer import Floats
from flagpost.errors import BadConfiguration
from flagpost.model import FraudModel
from flagpost.training.kinds import Classifier, FeatureSet, Kind, train
from flagpost.training.metrics import Bools, flagging_metrics
from flagpost.training.protocol import (
    LABEL_DAYS,
    WEEK_DAYS,
    Population,
    in_test_week,
    measure,
    need_both_classes,
)
from flagpost.training.threshold import threshold_for_budget


@dataclass(frozen=True, slots=True)
class Rows:
    """n transactions with their features and what became of them.

    `frauds_known_by` says which of them are known as frauds at a time in microseconds.
    """

    name: str
    matrix: Floats  # (n, len(FEATURE_NAMES))
    event_time_us: Int64s  # (n,)
    customer: Int64s  # (n,)
    is_fraud: Bools  # (n,)
    frauds_known_by: Callable[[int], Bools]


@dataclass(frozen=True, slots=True)
class Plan:
    """The last weeks are the test; before them lies a week until labels are known.

    Weeks without a fraud are left out, since nothing can be measured on them.
    Each week at most `flags_per_thousand` of 1,000 transactions are flagged, the highest scores.
    """

    train_days: int = 28
    test_weeks: int = 4
    flags_per_thousand: float = 5.0

    def test_day(self, last_day: int) -> int:
        """The first day of test in data that ends with `last_day`."""
        return last_day + 1 - self.test_weeks * WEEK_DAYS

    def train_end_day(self, last_day: int) -> int:
        """The first day after training."""
        return self.test_day(last_day) - LABEL_DAYS


@dataclass(frozen=True, slots=True)
class Result:
    """How one model did: `weekly[metric]` has a number for each test week."""

    model: str
    weekly: dict[str, Floats]
    n_fitted: int | None  # None for a model that was trained elsewhere
    training_seconds: float | None
    scoring_us: float  # microseconds a transaction, features not included

    def mean(self, metric: str) -> float:
        """Mean over the weeks."""
        return float(self.weekly[metric].mean())

    def deviation(self, metric: str) -> float:
        """Standard deviation between the weeks; 0 for a single one."""
        return float(self.weekly[metric].std(ddof=min(1, self.weekly[metric].size - 1)))


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was compared on one file, and the results."""

    name: str
    n_trained: int
    n_trained_frauds: int
    n_tested: int
    n_tested_frauds: int
    n_weeks: int
    results: list[Result]


@dataclass(frozen=True, slots=True)
class _Weeks:
    """The days of a comparison; `tests` marks the rows of each test week."""

    population: Population
    fitted: Bools
    test_us: int
    tests: list[Bools]


def compare(
    rows: Rows,
    plan: Plan,
    kinds: Sequence[Kind],
    saved: Mapping[str, FraudModel],
    on_progress: Callable[[float], None] = lambda _: None,
) -> Comparison:
    """Train a model of each kind, then measure them and the saved ones; blocks.

    Raises:
        BadConfiguration: the rows do not cover the plan, or a part of it has no fraud.
    """
    weeks = _divide(rows, plan)
    known = rows.frauds_known_by(weeks.test_us)[weeks.fitted]
    need_both_classes(known, "training")
    results, matrix = list[Result](), rows.matrix[weeks.fitted]
    for kind in kinds:
        trained = train(kind, FeatureSet.STREAMING, matrix, known)
        weekly, scoring_us = _test(trained.classifier, rows.matrix, weeks, plan)
        results.append(Result(kind, weekly, trained.n_rows, trained.seconds, scoring_us))
        on_progress(len(results) / (len(kinds) + len(saved)))
    for name, model in saved.items():
        weekly, scoring_us = _test(model, rows.matrix, weeks, plan)
        results.append(Result(name, weekly, None, None, scoring_us))
    any_test = np.logical_or.reduce(weeks.tests)
    return Comparison(
        name=rows.name,
        n_trained=known.size,
        n_trained_frauds=int(known.sum()),
        n_tested=int(any_test.sum()),
        n_tested_frauds=int(rows.is_fraud[any_test].sum()),
        n_weeks=len(weeks.tests),
        results=results,
    )


def _divide(rows: Rows, plan: Plan) -> _Weeks:
    day = rows.event_time_us // DAY_US
    first_day, last_day = int(day.min()), int(day.max())
    test_day, train_end = plan.test_day(last_day), plan.train_end_day(last_day)
    if train_end - plan.train_days < first_day:
        raise BadConfiguration(
            f"{rows.name} covers {last_day - first_day + 1} days, too few for {plan.train_days} of "
            f"training, {LABEL_DAYS} until labels are known and {plan.test_weeks} weeks of test: "
            "lower --train-days or --test-weeks"
        )
    population = Population(day, rows.customer, rows.is_fraud)
    tests = [in_test_week(population, first) for first in range(test_day, last_day + 1, WEEK_DAYS)]
    need_both_classes(rows.is_fraud[np.logical_or.reduce(tests)], "test")
    measurable = [test for test in tests if np.unique(rows.is_fraud[test]).size == 2]
    fitted = (day >= train_end - plan.train_days) & (day < train_end)
    return _Weeks(population, fitted, test_day * DAY_US, measurable)


def _test(
    classifier: Classifier, matrix: Floats, weeks: _Weeks, plan: Plan
) -> tuple[dict[str, Floats], float]:
    """Score each week; returns the metrics by name and the microseconds a transaction."""
    measured, seconds, n = list[dict[str, float]](), 0.0, 0
    for test in weeks.tests:
        features, population = matrix[test], weeks.population.where(test)
        began = time.perf_counter()
        fraud_probability = classifier.predict_proba(features)[:, 1]
        seconds, n = seconds + time.perf_counter() - began, n + len(features)
        is_flagged = fraud_probability >= threshold_for_budget(
            fraud_probability, int(fraud_probability.size * plan.flags_per_thousand / 1_000)
        )
        flagging = flagging_metrics(population.is_fraud, is_flagged)
        measured.append(measure(population, fraud_probability) | flagging)
    weekly = {name: np.array([week[name] for week in measured]) for name in measured[0]}
    return weekly, 1e6 * seconds / n
