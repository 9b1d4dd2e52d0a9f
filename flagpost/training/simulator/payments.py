"""Honest payments: when each customer pays, where and how much."""

from dataclasses import dataclass

import numpy as np

from flagpost.training.simulator.population import Customers, Floats, Ints, Population
from flagpost.training.simulator.random_streams import Concern, stream

DAY_SECONDS = 86_400
_NOON_SECONDS = 43_200
_TIME_OF_DAY_DEVIATION_SECONDS = 20_000


@dataclass(frozen=True, slots=True)
class Payments:
    """Payments in order of time, all columns of shape (n,)."""

    second: Ints
    """Seconds since midnight of the first day."""
    customer: Ints
    terminal: Ints
    amount_cents: Ints

    @property
    def day(self) -> Ints:
        """Days since the first."""
        return self.second // DAY_SECONDS


def draw_payments(population: Population, days: int, seed: int) -> Payments:
    """Let every customer pay for some days; payments of the same second stay in customer order."""
    second, customer = _draw_times(population.customers, days, seed)
    return Payments(
        second=second,
        customer=customer,
        terminal=_draw_terminals(population, customer, seed),
        amount_cents=_draw_amounts(population.customers.mean_amount[customer], seed),
    )


def _draw_times(customers: Customers, days: int, seed: int) -> tuple[Ints, Ints]:
    """Seconds and customers of the attempts whose time of day falls inside their day."""
    rate = customers.attempts_per_day
    attempts = stream(seed, Concern.ATTEMPTS).poisson(rate, (days, len(rate))).ravel()
    day, customer = np.divmod(np.repeat(np.arange(len(attempts)), attempts), len(rate))
    time_of_day = (
        stream(seed, Concern.TIMES_OF_DAY)
        .normal(_NOON_SECONDS, _TIME_OF_DAY_DEVIATION_SECONDS, len(day))
        .astype(np.int64)
    )
    inside = (time_of_day > 0) & (time_of_day < DAY_SECONDS)
    second = (day * DAY_SECONDS + time_of_day)[inside]
    order = np.argsort(second, kind="stable")
    return second[order], customer[inside][order]


def _draw_terminals(population: Population, customer: Ints, seed: int) -> Ints:
    first, end = population.first_used[customer], population.first_used[customer + 1]
    return population.used_terminals[stream(seed, Concern.TERMINAL_CHOICES).integers(first, end)]


def _draw_amounts(mean: Floats, seed: int) -> Ints:
    rng = stream(seed, Concern.AMOUNTS)
    amount = rng.normal(mean, mean / 2)
    negative = amount < 0
    amount[negative] = rng.uniform(0, 2 * mean[negative])
    cents: Ints = np.rint(100 * amount).astype(np.int64)
    return cents
