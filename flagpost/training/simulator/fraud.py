"""The three kinds of fraud, laid over honest payments."""

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Self

import numpy as np
from numpy.typing import NDArray

from flagpost.training.simulator.payments import Payments
from flagpost.training.simulator.population import CATEGORIES, Floats, Ints, Population
from flagpost.training.simulator.random_streams import Concern, stream


class Scenario(IntEnum):
    """What a payment is; of two frauds on one payment the later in this list counts."""

    GENUINE = 0
    HIGH_AMOUNT = 1
    SKIMMED_TERMINAL = 2
    STOLEN_CARD = 3


HIGH_AMOUNT_CENTS = 220_00
STOLEN_CARD_FACTOR = 5


@dataclass(frozen=True, slots=True)
class Campaign:
    """A fraud that strikes `strikes` random targets a day, of every `targets`, for `days` days."""

    strikes: int
    targets: int
    days: int

    def strikes_each_day(self, targets: int, days: int) -> Ints:
        """Strikes on each day, shape (days,), in proportion to the number of targets.

        Fractions are carried over in exact integers: a tenth of the targets of the reference sees
        a tenth of its strikes, evenly spread.
        """
        until_day = np.arange(days + 1) * self.strikes * targets
        strikes: Ints = np.diff((until_day + self.targets // 2) // self.targets)
        return strikes


SKIMMING = Campaign(strikes=2, targets=10_000, days=28)
THEFT = Campaign(strikes=3, targets=5_000, days=14)


@dataclass(frozen=True, slots=True)
class RowsByKey:
    """The rows of each key (a customer or a terminal), in order of time."""

    day: Ints
    rows: Ints
    first_row: Ints

    @classmethod
    def group(cls, key: Ints, day: Ints, keys: int) -> Self:
        """Group rows by a key from 0 to `keys` - 1."""
        rows = np.argsort(key, kind="stable")
        return cls(day, rows, np.searchsorted(key[rows], np.arange(keys + 1)))

    def within(self, keys: Ints, first_day: int, days: int) -> Ints:
        """Rows of these keys on days [first_day, first_day + days)."""
        rows = np.concatenate([self.rows[slice(*self.first_row[key : key + 2])] for key in keys])
        day = self.day[rows]
        within: Ints = rows[(day >= first_day) & (day < first_day + days)]
        return within


def commit_fraud(
    payments: Payments, population: Population, days: int, seed: int
) -> tuple[Payments, NDArray[np.int8]]:
    """Return the payments after all frauds and the scenario of each, shape (n,).

    Source: the book's order and numbers, which hold for 5,000 customers and 10,000 terminals;
    the daily strikes of other populations are in proportion.
    """
    scenario = np.full(len(payments.second), Scenario.GENUINE, dtype=np.int8)
    scenario[payments.amount_cents > HIGH_AMOUNT_CENTS] = Scenario.HIGH_AMOUNT
    scenario[_rows_at_skimmed_terminals(payments, population, days, seed)] = (
        Scenario.SKIMMED_TERMINAL
    )
    stolen = _rows_of_stolen_cards(payments, population, days, seed)
    scenario[stolen] = Scenario.STOLEN_CARD
    amount_cents = payments.amount_cents.copy()
    amount_cents[stolen] *= STOLEN_CARD_FACTOR  # once, even where a row is drawn by two thefts
    return replace(payments, amount_cents=amount_cents), scenario


def _rows_at_skimmed_terminals(
    payments: Payments, population: Population, days: int, seed: int
) -> Ints:
    """Every payment at a skimmed terminal."""
    rng = stream(seed, Concern.SKIMMED_TERMINALS)
    probability = _skimming_probability(population.terminals.category)
    terminals = len(probability)
    by_terminal = RowsByKey.group(payments.terminal, payments.day, terminals)
    skimmed = [np.empty(0, np.int64)]
    for day, strikes in enumerate(SKIMMING.strikes_each_day(terminals, days)):
        if strikes:
            struck = rng.choice(terminals, strikes, replace=False, p=probability)
            skimmed.append(by_terminal.within(struck, day, SKIMMING.days))
    return np.concatenate(skimmed)


def _skimming_probability(category: Ints) -> Floats:
    """Devices are fitted to unattended machines more often; places and traffic play no part."""
    weight = np.array([c.skimming_weight for c in CATEGORIES])[category]
    probability: Floats = weight / weight.sum()
    return probability


def _rows_of_stolen_cards(payments: Payments, population: Population, days: int, seed: int) -> Ints:
    """A random third of the payments of the customers struck on the same day, pooled."""
    rng = stream(seed, Concern.STOLEN_CARDS)
    customers = len(population.customers.mean_amount)
    by_customer = RowsByKey.group(payments.customer, payments.day, customers)
    stolen = [np.empty(0, np.int64)]
    for day, strikes in enumerate(THEFT.strikes_each_day(customers, days)):
        if strikes:
            struck = rng.choice(customers, strikes, replace=False)
            pool = by_customer.within(struck, day, THEFT.days)
            stolen.append(rng.choice(pool, len(pool) // 3, replace=False))
    return np.concatenate(stolen)
