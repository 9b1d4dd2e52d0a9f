"""Training: one pass of the log through the pipeline, a fit, a test on the days after it."""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from flagpost.core.calendar import DAY_US
from flagpost.core.history import Int64s
from flagpost.errors import BadConfiguration
from flagpost.model import FraudModel
from flagpost.model_manifest import Training
from flagpost.training.labels import find_frauds
from flagpost.training.metrics import Bools, flagging_metrics, ranking_metrics, threshold_for
from flagpost.training.offline import DecodedLog, OfflineFeatures, observe_log


@dataclass(frozen=True, slots=True)
class Plan:
    """How a log is divided by time: days that only fill the histories, days to fit, days to test.

    Between fit and test lies a gap in which the labels of the last fitted days become known; what
    became known later is not used. The threshold flags at most `flags_per_thousand` of 1,000
    transactions of the fitted days.
    """

    warm_up_days: int = 37
    gap_days: int = 7
    test_days: int = 14
    flags_per_thousand: float = 8.0


def train(decoded: DecodedLog, plan: Plan, log_name: str) -> FraudModel:
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
    model.threshold = threshold_for(
        model.predict_proba(rows.matrix[fitted])[:, 1], plan.flags_per_thousand
    )
    model.training = _training(rows, fitted, known, log_name)
    model.metrics = _measure(model, rows.matrix[tested], is_fraud[tested])
    return model


@dataclass(frozen=True, slots=True)
class Periods:
    """Microseconds since 1970: fitted from `fit_us` until `fit_end_us`, tested from `test_us`."""

    fit_us: int
    fit_end_us: int
    test_us: int

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
    first, end = int(event_time_us.min()) // DAY_US, int(event_time_us.max()) // DAY_US + 1
    test = end - plan.test_days
    if first + plan.warm_up_days >= test - plan.gap_days:
        msg = (
            f"the log has {end - first} days, too few for {plan.warm_up_days} days of warm-up, "
            f"{plan.gap_days} until labels are known and {plan.test_days} of test: lower "
            "--warm-up-days or --test-days"
        )
        raise BadConfiguration(msg)
    return Periods(
        fit_us=(first + plan.warm_up_days) * DAY_US,
        fit_end_us=(test - plan.gap_days) * DAY_US,
        test_us=test * DAY_US,
    )


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


def _measure(model: FraudModel, matrix: np.ndarray, is_fraud: Bools) -> dict[str, float]:
    fraud_probability = model.predict_proba(matrix)[:, 1]
    measured = ranking_metrics(is_fraud, fraud_probability)
    measured |= flagging_metrics(is_fraud, fraud_probability >= model.threshold)
    return {name: round(value, 4) for name, value in measured.items()}
