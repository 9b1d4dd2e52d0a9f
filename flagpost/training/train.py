"""Training: one pass of the log through the pipeline, a fit, a test on the days after it."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np

from flagpost.core.calendar import DAY_US
from flagpost.core.features import AMOUNT
from flagpost.core.history import Int64s
from flagpost.core.scorer import Floats
from flagpost.errors import BadConfiguration
from flagpost.model import FraudModel
from flagpost.model_manifest import Training
from flagpost.training.labels import find_frauds
from flagpost.training.metrics import Bools, calibration, flagging_metrics, ranking_metrics
from flagpost.training.offline import DecodedLog, OfflineFeatures, observe_log
from flagpost.training.threshold import threshold_for_budget, threshold_for_costs

EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Plan:
    """How a log is divided by time: days that only fill the histories, days to fit, days to test.

    Between fit and test lies a gap in which the labels of the last fitted days become known; what
    became known later is not used.

    Attributes:
        warm_up_days: at the beginning of the log, unless `fit_from` says where the fit begins.
        gap_days: between fit and test.
        test_days: at the end of the log, unless `fit_to` says where the fit ends.
        fit_from: first day of the fit.
        fit_to: last day of the fit.
    """

    warm_up_days: int = 37
    gap_days: int = 7
    test_days: int = 14
    fit_from: date | None = None
    fit_to: date | None = None


@dataclass(frozen=True, slots=True)
class Budget:
    """How the threshold is chosen on the fitted days: by costs, else by flags a day or in 1,000."""

    flags_per_thousand: float = 8.0
    alerts_per_day: float | None = None
    review_cost: float | None = None

    def threshold(
        self, fraud_probability: Floats, is_fraud: Bools, amount: Floats, days: float
    ) -> float:
        """Choose the threshold on n transactions of so many days."""
        if self.review_cost is not None:
            return threshold_for_costs(fraud_probability, is_fraud, amount, self.review_cost)
        n_flags = fraud_probability.size * self.flags_per_thousand / 1_000
        if self.alerts_per_day is not None:
            n_flags = self.alerts_per_day * days
        return threshold_for_budget(fraud_probability, int(n_flags))


def train(decoded: DecodedLog, plan: Plan, budget: Budget, log_name: str) -> FraudModel:
    """Fit a model on a decoded log and measure it on the log's last days. Blocks.

    Raises:
        BadConfiguration: the log is too short for the plan, or a part has no fraud.
    """
    periods = divide(decoded.event_time_us, plan)
    model = FraudModel()
    model.population_mean_cents = decoded.mean_amount_cents(periods.fit_end_us)
    rows = observe_log(decoded, model.population_mean_cents)
    fitted, tested = periods.fitted(rows.event_time_us), periods.tested(rows.event_time_us)
    known = find_frauds(decoded.labels, rows.transaction_id, periods.test_us)
    is_fraud = find_frauds(decoded.labels, rows.transaction_id)
    _need_both_classes(known[fitted], "training")
    _need_both_classes(is_fraud[tested], "test")
    model.fit(rows.matrix[fitted], known[fitted])
    model.threshold = budget.threshold(
        model.predict_proba(rows.matrix[fitted])[:, 1],
        known[fitted],
        rows.matrix[fitted, AMOUNT],
        periods.fit_days,
    )
    model.training = _training(rows, fitted, known, log_name)
    fraud_probability = model.predict_proba(rows.matrix[tested])[:, 1]
    model.metrics = _measure(model.threshold, fraud_probability, is_fraud[tested])
    model.calibration = calibration(is_fraud[tested], fraud_probability)
    return model


@dataclass(frozen=True, slots=True)
class Periods:
    """Microseconds since 1970: fitted from `fit_us` until `fit_end_us`, tested from `test_us`."""

    fit_us: int
    fit_end_us: int
    test_us: int

    @property
    def fit_days(self) -> float:
        """How many days are fitted."""
        return (self.fit_end_us - self.fit_us) / DAY_US

    def fitted(self, event_time_us: Int64s) -> Bools:
        """Say which rows are fitted."""
        return (event_time_us >= self.fit_us) & (event_time_us < self.fit_end_us)

    def tested(self, event_time_us: Int64s) -> Bools:
        """Say which rows are tested."""
        return event_time_us >= self.test_us


def divide(event_time_us: Int64s, plan: Plan) -> Periods:
    """Divide the days of a log.

    Raises:
        BadConfiguration: no day is left to fit on.
    """
    if not event_time_us.size:
        msg = "the log holds no readable transaction"
        raise BadConfiguration(msg)
    log_first, log_end = int(event_time_us.min()) // DAY_US, int(event_time_us.max()) // DAY_US + 1
    first = _day_number(plan.fit_from) if plan.fit_from else log_first + plan.warm_up_days
    end = _day_number(plan.fit_to) + 1 if plan.fit_to else log_end - plan.test_days - plan.gap_days
    if not log_first <= first < end or end + plan.gap_days >= log_end:
        msg = (
            f"the log has {log_end - log_first} days, from {_day(log_first)} to "
            f"{_day(log_end - 1)}, which leaves no days to fit or to test between "
            f"{plan.warm_up_days} days of warm-up, {plan.gap_days} until labels are known and "
            f"{plan.test_days} of test: choose other --warm-up-days, --test-days, --from or --to"
        )
        raise BadConfiguration(msg)
    return Periods(first * DAY_US, end * DAY_US, (end + plan.gap_days) * DAY_US)


def _day_number(day: date) -> int:
    return (day - EPOCH).days


def _day(number: int) -> str:
    return (EPOCH + timedelta(days=number)).isoformat()


def _need_both_classes(is_fraud: Bools, part: str) -> None:
    if is_fraud.all() or not is_fraud.any():
        msg = (
            f"the {part} days hold {int(is_fraud.sum())} frauds among {is_fraud.size} "
            "transactions: give a log with labels, or other days"
        )
        raise BadConfiguration(msg)


def _training(rows: OfflineFeatures, fitted: Bools, is_fraud: Bools, log_name: str) -> Training:
    times = rows.event_time_us[fitted]
    return Training(
        log=log_name,
        first_event=_iso(times.min()),
        last_event=_iso(times.max()),
        n_transactions=int(fitted.sum()),
        n_frauds=int(is_fraud[fitted].sum()),
    )


def _iso(time_us: np.int64) -> str:
    return datetime.fromtimestamp(int(time_us) // 1_000_000, UTC).isoformat()


def _measure(threshold: float, fraud_probability: Floats, is_fraud: Bools) -> dict[str, float]:
    measured = ranking_metrics(is_fraud, fraud_probability)
    measured |= flagging_metrics(is_fraud, fraud_probability >= threshold)
    return {name: round(value, 4) for name, value in measured.items()}
