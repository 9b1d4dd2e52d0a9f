"""The Handbook's protocol: days to train on, a week until labels are known, a week of test.

Source: Le Borgne et al., *Practical Handbook* (2022), chapters 3 and 5.
"""

from typing import NamedTuple

import numpy as np

from flagpost.core.history import Int64s
from flagpost.core.scorer import Floats
from flagpost.errors import BadConfiguration
from flagpost.training.card_precision import card_precision
from flagpost.training.metrics import Bools, ranking_metrics

WEEK_DAYS = 7
LABEL_DAYS = 7
"""So many days after a transaction it is known whether it was a fraud."""


class Population(NamedTuple):
    """n transactions in order of time, whose cards they are, and what became of them."""

    day: Int64s
    customer: Int64s
    is_fraud: Bools

    def where(self, chosen: Bools) -> "Population":
        """Return the chosen rows."""
        return Population(self.day[chosen], self.customer[chosen], self.is_fraud[chosen])


class Split(NamedTuple):
    """Training ends with the week that begins on `start_day`; the test is the week after next."""

    start_day: int = 115
    train_days: int = 28

    @property
    def train_end_day(self) -> int:
        """The first day after training."""
        return self.start_day + WEEK_DAYS

    @property
    def test_day(self) -> int:
        """The first day of the test week."""
        return self.train_end_day + LABEL_DAYS

    def trained(self, day: Int64s) -> Bools:
        """Say which rows are trained on."""
        return (day >= self.train_end_day - self.train_days) & (day < self.train_end_day)


def in_test_week(population: Population, test_day: int) -> Bools:
    """Say which rows belong to the test week that begins on `test_day`.

    Left out are cards that are known as compromised: by a fraud since two weeks before the test
    week, and more than a week before the day in question.
    """
    day, customer, is_fraud = population
    since_day = test_day - LABEL_DAYS - WEEK_DAYS
    rows = np.zeros(day.size, np.bool_)
    for today in range(test_day, test_day + WEEK_DAYS):
        is_known = is_fraud & (day >= since_day) & (day < today - LABEL_DAYS)
        rows |= (day == today) & ~np.isin(customer, customer[is_known])
    return rows


def measure(population: Population, fraud_probability: Floats) -> dict[str, float]:
    """Return AUC, AP and CP@100 of the scores of a test week; both classes must occur."""
    ranking = ranking_metrics(population.is_fraud, fraud_probability)
    return {
        "AUC": ranking["roc_auc"],
        "AP": ranking["average_precision"],
        "CP@100": card_precision(*population, fraud_probability),
    }


def check_days(population: Population, split: Split) -> None:
    """See that the file covers the split and that each part has both classes.

    Raises:
        BadConfiguration: it does not.
    """
    first, last = int(population.day.min()), int(population.day.max())
    train_day = split.train_end_day - split.train_days
    if train_day < first or split.test_day + WEEK_DAYS - 1 > last:
        raise BadConfiguration(
            f"--start-day {split.start_day} needs the days {train_day} to "
            f"{split.test_day + WEEK_DAYS - 1}, but the file holds {first} to {last}"
        )
    need_both_classes(population.is_fraud[split.trained(population.day)], "training")
    need_both_classes(population.is_fraud[in_test_week(population, split.test_day)], "test")


def need_both_classes(is_fraud: Bools, part: str) -> None:
    """Refuse days that nothing can be learned from or measured on.

    Raises:
        BadConfiguration: there is no fraud, or nothing else.
    """
    if is_fraud.all() or not is_fraud.any():
        raise BadConfiguration(
            f"the {part} days hold {int(is_fraud.sum())} frauds among {is_fraud.size} "
            "transactions: give more data or other days"
        )
