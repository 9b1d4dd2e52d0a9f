"""Card precision: how many of the cards that investigators look at each day are compromised."""

import numpy as np

from flagpost.core.history import Int64s
from flagpost.core.scorer import Floats
from flagpost.training.metrics import Bools


def card_precision(
    day: Int64s, customer: Int64s, is_fraud: Bools, fraud_probability: Floats, top: int = 100
) -> float:
    """Return the share of compromised cards among the `top` cards of a day, averaged over days.

    A day with fewer cards than `top` is still divided by `top`. Arguments are those of
    `cards_found`.
    """
    return float(cards_found(day, customer, is_fraud, fraud_probability, top).mean()) / top


def cards_found(
    day: Int64s, customer: Int64s, is_fraud: Bools, fraud_probability: Floats, top: int = 100
) -> Int64s:
    """Return how many of the `top` cards of each day are compromised; shape (days,).

    A card ranks by its highest score of the day, and is compromised when one of its transactions
    that day is a fraud. Once found it is blocked and out of the ranking.

    Source: Le Borgne et al., *Practical Handbook* (2022), chapter 4, card precision top-k.

    Args:
        day: of n transactions, at least one; shape (n,) like the next three.
        customer: whose card it was.
        is_fraud: what became of it.
        fraud_probability: any number that ranks them.
        top: how many cards are looked at a day.
    """
    blocked = np.empty(0, customer.dtype)
    found = list[int]()
    for today in np.unique(day):
        rows = np.flatnonzero((day == today) & ~np.isin(customer, blocked))
        looked_at = _highest_cards(customer[rows], fraud_probability[rows], top)
        compromised = np.intersect1d(looked_at, customer[rows][is_fraud[rows]])
        blocked = np.union1d(blocked, compromised)
        found.append(compromised.size)
    return np.array(found, np.int64)


def _highest_cards(customer: Int64s, fraud_probability: Floats, top: int) -> Int64s:
    """Pick cards by their highest score; of equal ones the first to reach it."""
    ranked = customer[np.argsort(-fraud_probability, kind="stable")]
    _, first_place = np.unique(ranked, return_index=True)
    return ranked[np.sort(first_place)[:top]]
