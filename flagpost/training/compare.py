"""Models side by side: trained on the same rows, tested on the same later weeks."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from flagpost.core.calendar import DAY_US
from flagpost.core.history import Int64s
from flagpost.core.scorer import Floats
from flagpost.errors import BadConfiguration
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
    """How one model did: `weekly[metric]` has a number for each test week.

    `fraud_probability` is what it said of each of the n rows, NaN outside of the test weeks.
    """

    model: str
    weekly: dict[str, Floats]
    fraud_probability: Floats  # (n,)
    scoring_us: float  # microseconds a transaction, features not included
    n_fitted: int | None  # None for a model that was trained elsewhere
    training_seconds: float | None

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
class Weeks:
    """The days of a comparison: marks n rows.

    Attributes:
        population: all rows.
        fitted: (n,) the rows to train on.
        known: (n,) the frauds that are known when the test begins.
        tests: (n,) each; the rows of each test week.
    """

    population: Population
    fitted: Bools
    known: Bools
    tests: list[Bools]

    @property
    def tested(self) -> Bools:
        """The rows of all test weeks."""
        return np.logical_or.reduce(self.tests)


def compare(
    rows: Rows,
    plan: Plan,
    kinds: Sequence[Kind],
    fitted: Mapping[str, Classifier],
    on_progress: Callable[[float], None] = lambda _: None,
) -> Comparison:
    """Train a model of each kind, then measure them and those that were fitted before; blocks.

    Raises:
        BadConfiguration: the rows do not cover the plan, or a part of it has no fraud.
    """
    weeks = divide(rows, plan)
    matrix, known = rows.matrix[weeks.fitted], weeks.known[weeks.fitted]
    results = list[Result]()
    for kind in kinds:
        trained = train(kind, FeatureSet.STREAMING, matrix, known)
        tested = _test(trained.classifier, rows.matrix, weeks, plan)
        results.append(Result(kind, *tested, trained.n_rows, trained.seconds))
        on_progress(len(results) / (len(kinds) + len(fitted)))
    for name, model in fitted.items():
        results.append(Result(name, *_test(model, rows.matrix, weeks, plan), None, None))
    return Comparison(
        name=rows.name,
        n_trained=known.size,
        n_trained_frauds=int(known.sum()),
        n_tested=int(weeks.tested.sum()),
        n_tested_frauds=int(rows.is_fraud[weeks.tested].sum()),
        n_weeks=len(weeks.tests),
        results=results,
    )


def divide(rows: Rows, plan: Plan) -> Weeks:
    """Mark the rows to train on and those of each test week.

    Raises:
        BadConfiguration: the rows do not cover the plan, or a part of it has no fraud.
    """
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
    known = rows.frauds_known_by(test_day * DAY_US)
    need_both_classes(known[fitted], "training")
    return Weeks(population, fitted, known, measurable)


def _test(
    classifier: Classifier, matrix: Floats, weeks: Weeks, plan: Plan
) -> tuple[dict[str, Floats], Floats, float]:
    """Score each week; returns metrics by name, the scores, the microseconds a transaction."""
    measured, seconds = list[dict[str, float]](), 0.0
    scores = np.full(len(matrix), np.nan)
    for test in weeks.tests:
        features, population = matrix[test], weeks.population.where(test)
        began = time.perf_counter()
        fraud_probability = classifier.predict_proba(features)[:, 1]
        seconds += time.perf_counter() - began
        scores[test] = fraud_probability
        is_flagged = fraud_probability >= threshold_for_budget(
            fraud_probability, int(fraud_probability.size * plan.flags_per_thousand / 1_000)
        )
        flagging = flagging_metrics(population.is_fraud, is_flagged)
        measured.append(measure(population, fraud_probability) | flagging)
    weekly = {name: np.array([week[name] for week in measured]) for name in measured[0]}
    return weekly, scores, 1e6 * seconds / int(weeks.tested.sum())
