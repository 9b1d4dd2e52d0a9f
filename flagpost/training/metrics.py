"""How good a score is, in the field's terms."""

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from flagpost.core.scorer import Floats

Bools = NDArray[np.bool_]


def ranking_metrics(is_fraud: Bools, fraud_probability: Floats) -> dict[str, float]:
    """Return the area under the ROC curve and the average precision; both classes must occur."""
    return {
        "roc_auc": float(roc_auc_score(is_fraud, fraud_probability)),
        "average_precision": float(average_precision_score(is_fraud, fraud_probability)),
    }


def flagging_metrics(is_fraud: Bools, is_flagged: Bools) -> dict[str, float]:
    """Return the precision and the recall of flags; 0 where nothing is flagged or fraud."""
    hits = int((is_fraud & is_flagged).sum())
    return {
        "precision": hits / max(int(is_flagged.sum()), 1),
        "recall": hits / max(int(is_fraud.sum()), 1),
    }


def threshold_for(fraud_probability: Floats, flags_per_thousand: float) -> float:
    """Return the threshold that flags at most this many of 1,000 of these transactions.

    It lies half way between two scores, so that a rounding error cannot move anything across it.
    """
    ranked = np.sort(fraud_probability)[::-1]
    n_flags = int(ranked.size * flags_per_thousand / 1_000)
    if n_flags >= ranked.size:
        return 0.0
    first_left_out = ranked[n_flags]
    flagged = ranked[ranked > first_left_out]
    last_flagged = flagged[-1] if flagged.size else 1.0
    return float((last_flagged + first_left_out) / 2)
