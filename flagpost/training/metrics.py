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


CALIBRATION_EDGES = (0.0, 0.001, 0.005, 0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)


def calibration(is_fraud: Bools, fraud_probability: Floats) -> list[dict[str, float]]:
    """Compare what was predicted with what happened, for each range of probability that occurs.

    Returns:
        `from` and `to` of the range, `transactions` in it, their mean probability `predicted`, and
        the share `observed` to be fraud.
    """
    edges = np.array(CALIBRATION_EDGES)
    place = np.clip(np.searchsorted(edges, fraud_probability, side="right"), 1, edges.size - 1)
    return [
        {
            "from": float(edges[k - 1]),
            "to": float(edges[k]),
            "transactions": int(chosen.sum()),
            "predicted": round(float(fraud_probability[chosen].mean()), 6),
            "observed": round(float(is_fraud[chosen].mean()), 6),
        }
        for k in range(1, edges.size)
        if (chosen := place == k).any()
    ]
