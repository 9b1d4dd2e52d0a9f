"""What the bank learns of its payments afterwards, and when."""

from dataclasses import dataclass

import numpy as np

from flagpost.training.simulator.payments import DAY_SECONDS, Payments
from flagpost.training.simulator.population import Customers, Flags, Ints
from flagpost.training.simulator.random_streams import Concern, stream

SOURCES = ("customer_report", "chargeback", "review")
_REPORT, _CHARGEBACK, _REVIEW = range(len(SOURCES))

_SOONEST_SECONDS = DAY_SECONDS
_LATEST_SECONDS = 6 * DAY_SECONDS
_REPORTED_WITHIN_SECONDS = 3 * DAY_SECONDS
_REVIEWED_SHARE = 0.5
_REVIEWED_ABOVE_MEAN = 2.5


@dataclass(frozen=True, slots=True)
class Labels:
    """Labels in the order in which they become known, all columns of shape (labels,)."""

    transaction: Ints
    """The labelled transaction, as an index into the columns of the transactions."""
    known_at_second: Ints
    """On the clock of `Payments.second`."""
    is_fraud: Flags
    source: Ints
    """An index into `SOURCES`."""


def draw_labels(payments: Payments, customers: Customers, is_fraud: Flags, seed: int) -> Labels:
    """Label every fraud, and half of the genuine payments that were high for their customer.

    A label is known 1 to 6 days after its transaction. A fraud that is known within 3 days was
    reported by the customer, a later one came back as a chargeback.
    """
    reviewed = _reviewed(payments, customers, seed) & ~is_fraud
    transaction = np.flatnonzero(is_fraud | reviewed)
    delay_seconds = stream(seed, Concern.LABEL_DELAYS).integers(
        _SOONEST_SECONDS, _LATEST_SECONDS, len(transaction), endpoint=True
    )
    fraud_source = np.where(delay_seconds < _REPORTED_WITHIN_SECONDS, _REPORT, _CHARGEBACK)
    known_at_second = payments.second[transaction] + delay_seconds
    order = np.argsort(known_at_second, kind="stable")
    return Labels(
        transaction=transaction[order],
        known_at_second=known_at_second[order],
        is_fraud=is_fraud[transaction][order],
        source=np.where(is_fraud[transaction], fraud_source, _REVIEW)[order],
    )


def _reviewed(payments: Payments, customers: Customers, seed: int) -> Flags:
    usual_cents = 100 * customers.mean_amount[payments.customer]
    picked = stream(seed, Concern.REVIEWS).random(len(usual_cents)) < _REVIEWED_SHARE
    reviewed: Flags = picked & (payments.amount_cents > _REVIEWED_ABOVE_MEAN * usual_cents)
    return reviewed
