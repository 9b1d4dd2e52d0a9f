"""What each model says of a whole log, computed in one thread from the file alone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from flagpost.core.decision import Decisions, decide, explain, risk_level
from flagpost.core.features import FEATURE_NAMES
from flagpost.core.scorer import Floats
from flagpost.core.spread import FRAUD_PROBABILITY, TrainedSpread, first_bins
from flagpost.core.totals import NORMAL, UNEXPLAINED
from flagpost.model import FraudModel
from flagpost.training.offline import DecodedLog, OfflineFeatures, observe_log


@dataclass(frozen=True, slots=True)
class OfflineScores:
    """What a model says of n transactions, by their ids.

    Attributes:
        decisions: `fraud_probability`, `risk_level`, `is_flagged`, `fraud_reason`, the strongest
            one, `reasons`, empty where not flagged, and `features`, the bytes of their doubles.
        bins: a column for each feature that the model counts: its bin among those of all.
        n_bins: the bins of all features together.
    """

    decisions: pd.DataFrame
    bins: pd.DataFrame
    n_bins: int


def score_offline(
    decoded: DecodedLog, models: Sequence[Path]
) -> Iterator[tuple[str, OfflineScores]]:
    """Score a log with each model, as `fraud_model.py evaluate` does; gives the versions, too."""
    for model in map(FraudModel.load, models):
        rows = observe_log(decoded, model.population_mean_cents)
        decisions = decide(
            model.scorer.fraud_probabilities(rows.matrix),
            model.threshold,
            rows.amount_cents,
            rows.account_balance_cents,
        )
        bins = _bins(model.spread, rows.matrix, decisions.fraud_probability)
        yield (
            model.version,
            OfflineScores(
                _decided(model, rows, decisions),
                bins.set_index(pd.Index(rows.transaction_id)),
                sum(len(each.shares) for each in model.spread),
            ),
        )


def _decided(model: FraudModel, rows: OfflineFeatures, decisions: Decisions) -> pd.DataFrame:
    reasons = np.full(len(rows.transaction_id), NORMAL, dtype=object)
    flagged = decisions.is_flagged
    explained = explain(
        model.scorer,
        rows.matrix[flagged],
        decisions.breaks_balance_rule[flagged],
        rows.event_time_us[flagged],
    )
    reasons[flagged] = [each[0]["code"] if each else UNEXPLAINED for each in explained]
    each_explained = iter(explained)
    probabilities = decisions.fraud_probability.tolist()
    columns = {
        "fraud_probability": decisions.fraud_probability,
        "risk_level": [risk_level(each, model.threshold).value for each in probabilities],
        "is_flagged": flagged,
        "fraud_reason": reasons,
        "reasons": [next(each_explained) if each else [] for each in flagged.tolist()],
        "features": [row.tobytes() for row in rows.matrix + 0.0],  # no zero has a sign
    }
    return pd.DataFrame(columns, index=rows.transaction_id)


def _bins(
    spreads: Sequence[TrainedSpread], matrix: Floats, fraud_probability: Floats
) -> pd.DataFrame:
    """Find the bin of every value, by another way than the worker's loop."""
    columns = {
        name: matrix[:, FEATURE_NAMES.index(name)]
        for each in spreads
        if (name := each.feature) != FRAUD_PROBABILITY
    } | {FRAUD_PROBABILITY: fraud_probability}
    places = {
        each.feature: (first + np.searchsorted(each.edges, columns[each.feature])).astype(np.int16)
        for first, each in zip(first_bins(spreads), spreads, strict=True)
    }
    return pd.DataFrame(places)
