"""A whole simulated log, as columns."""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from flagpost.errors import BadConfiguration
from flagpost.training.simulator.accounts import balances_before_cents
from flagpost.training.simulator.fraud import Scenario, commit_fraud
from flagpost.training.simulator.labels import Labels, draw_labels
from flagpost.training.simulator.payments import Payments, draw_payments
from flagpost.training.simulator.population import Flags, Floats, Ints, Population, draw_population
from flagpost.training.simulator.presence import draw_distances_km, draw_online

MOST = {"customers": 1_000_000, "terminals": 1_000_000, "days": 3_660}
MOST_CUSTOMER_DAYS = 10_000_000
"""About 20 million transactions, drawn in 2.5 GB of memory."""
MOST_PAIRS = 1_000_000_000
"""Of customers and terminals; fewer than one in a hundred meet and are held in memory."""
_FIRST_DAY, _LAST_DAY = date(1970, 1, 1), date(2199, 12, 31)


@dataclass(frozen=True, slots=True)
class Simulation:
    """n transactions in order of time and what became known of them; columns of shape (n,).

    Customers, terminals and transactions are numbered from 0; the log writer makes ids of them.
    """

    start: date
    """The clock of `payments` and `labels` starts at midnight UTC of this day."""
    population: Population
    payments: Payments
    balance_cents: Ints
    """Of the customer's account, before the transaction."""
    distance_km: Floats
    is_online: Flags
    scenario: NDArray[np.int8]
    """A `Scenario`; a real stream does not know it and no transaction line says it."""
    labels: Labels

    @property
    def transactions(self) -> int:
        """How many transactions there are: n."""
        return len(self.scenario)

    @property
    def is_fraud(self) -> Flags:
        """Which transactions are frauds."""
        is_fraud: Flags = self.scenario != Scenario.GENUINE
        return is_fraud

    @property
    def start_us(self) -> int:
        """The start in microseconds since 1970."""
        return (self.start - date(1970, 1, 1)) // timedelta(microseconds=1)

    @property
    def event_time_us(self) -> Ints:
        """When each transaction happened, in microseconds since 1970."""
        return self.start_us + 1_000_000 * self.payments.second

    @property
    def known_at_us(self) -> Ints:
        """When each label became known, in microseconds since 1970; shape (labels,)."""
        return self.start_us + 1_000_000 * self.labels.known_at_second


def simulate(customers: int, terminals: int, days: int, start: date, seed: int) -> Simulation:
    """Draw a log; the same arguments give the same log.

    Raises:
        BadConfiguration: an argument is out of its range; the message names it.
    """
    _check(customers, terminals, days, start, seed)
    population = draw_population(customers, terminals, seed)
    honest = draw_payments(population, days, seed)
    payments, scenario = commit_fraud(honest, population, days, seed)
    stolen = scenario == Scenario.STOLEN_CARD
    is_online = draw_online(payments, population, stolen, seed)
    return Simulation(
        start=start,
        population=population,
        payments=payments,
        balance_cents=balances_before_cents(payments, population.customers, start, seed),
        distance_km=draw_distances_km(payments, population, is_online, stolen, seed),
        is_online=is_online,
        scenario=scenario,
        labels=draw_labels(payments, population.customers, scenario != Scenario.GENUINE, seed),
    )


def _check(customers: int, terminals: int, days: int, start: date, seed: int) -> None:
    numbers = {"customers": customers, "terminals": terminals, "days": days}
    for name, number in numbers.items():
        if not 1 <= number <= MOST[name]:
            raise BadConfiguration(f"{name} must be 1 to {MOST[name]}, not {number}")
    if seed < 0:
        raise BadConfiguration(f"seed must not be negative, but it is {seed}")
    if not _FIRST_DAY <= start <= _LAST_DAY:
        raise BadConfiguration(f"start must be a day from {_FIRST_DAY} to {_LAST_DAY}, not {start}")
    if customers * days > MOST_CUSTOMER_DAYS or customers * terminals > MOST_PAIRS:
        raise BadConfiguration(
            f"{customers} customers at {terminals} terminals over {days} days do not fit in memory:"
            f" customers x days may be {MOST_CUSTOMER_DAYS}, customers x terminals {MOST_PAIRS}"
        )
