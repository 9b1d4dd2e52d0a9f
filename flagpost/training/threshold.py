"""From which fraud probability on a transaction is flagged."""

import numpy as np

from flagpost.core.scorer import Floats
from flagpost.training.metrics import Bools


def threshold_for_budget(fraud_probability: Floats, n_flags: int) -> float:
    """Return the threshold that flags at most so many of these transactions.

    It lies half way between two scores, so that a rounding error cannot move anything across it.
    """
    ranked = np.sort(fraud_probability)[::-1]
    if n_flags >= ranked.size:
        return 0.0
    first_left_out = ranked[n_flags]
    flagged = ranked[ranked > first_left_out]
    last_flagged = flagged[-1] if flagged.size else 1.0
    return float((last_flagged + first_left_out) / 2)


def threshold_for_costs(
    fraud_probability: Floats, is_fraud: Bools, amount: Floats, review_cost: float
) -> float:
    """Return the threshold at which reviews and missed frauds cost least on these transactions.

    A flag costs its review; a fraud that is not flagged costs its amount.

    Args:
        fraud_probability: shape (n,).
        is_fraud: shape (n,).
        amount: shape (n,), in currency units.
        review_cost: of one flag, in the same units.
    """
    order = np.argsort(-fraud_probability, kind="stable")
    saved = np.cumsum(np.where(is_fraud[order], amount[order], 0.0))
    gain = np.concatenate([[0.0], saved - review_cost * np.arange(1, saved.size + 1)])
    return threshold_for_budget(fraud_probability, int(gain.argmax()))
