"""Who pays, and where: customers, terminals, and which terminals a customer uses."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from flagpost.training.simulator.random_streams import Concern, stream

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

SIDE_KM = 100.0
REACH_KM = 5.0
FEWEST_TERMINALS = 5
"""Customers with fewer terminals in reach use this many of the nearest instead."""


class Category(NamedTuple):
    """A kind of merchant: its share of the terminals and how it sells."""

    name: str
    share: float
    online_share: float
    skimming_weight: float = 1.0
    transaction_type: str = "purchase"


CATEGORIES = (
    Category("grocery", 0.28, 0.10),
    Category("restaurant", 0.18, 0.10),
    Category("fashion", 0.13, 0.40),
    Category("fuel", 0.10, 0.00, skimming_weight=2.0),
    Category("pharmacy", 0.08, 0.15),
    Category("electronics", 0.07, 0.50),
    Category("leisure", 0.06, 0.40),
    Category("travel", 0.05, 0.60),
    Category("cash", 0.05, 0.00, skimming_weight=2.0, transaction_type="withdrawal"),
)

_WEST_TO_EAST = ("Ash", "Birch", "Elm", "Fern", "Hazel", "Lime", "Maple", "Oak", "Rose", "Thorn")
_SOUTH_TO_NORTH = ("bay", "bridge", "by", "dale", "field", "ford", "ham", "hill", "ton", "wick")
TOWNS = tuple(west + south for west in _WEST_TO_EAST for south in _SOUTH_TO_NORTH)
"""A town for every square of 10 by 10 km, so that a name tells the place."""


@dataclass(frozen=True, slots=True)
class Customers:
    """Where n customers live and how they pay."""

    home_km: Floats
    """(n, 2), in a square of 100 km by 100 km."""
    mean_amount: Floats
    """(n,), in units of the currency; the standard deviation is half of it."""
    attempts_per_day: Floats
    """(n,), the mean of a Poisson distribution."""


@dataclass(frozen=True, slots=True)
class Terminals:
    """Where m terminals stand and what is sold there."""

    place_km: Floats
    """(m, 2), in the same square as the homes."""
    category: Ints
    """(m,), an index into `CATEGORIES`."""

    @property
    def town(self) -> Ints:
        """(m,), an index into `TOWNS`."""
        column, row = (self.place_km // (SIDE_KM / 10)).astype(np.int64).T
        town: Ints = column * len(_SOUTH_TO_NORTH) + row
        return town


@dataclass(frozen=True, slots=True)
class Population:
    """Customers, terminals, and for each customer a slice of `used_terminals`."""

    customers: Customers
    terminals: Terminals
    used_terminals: Ints
    """The terminals of customer c are `used_terminals[first_used[c]:first_used[c + 1]]`."""
    first_used: Ints


def draw_population(customers: int, terminals: int, seed: int) -> Population:
    """Draw both and let every customer use the terminals nearer than 5 km."""
    drawn_customers = _draw_customers(customers, seed)
    drawn_terminals = _draw_terminals(terminals, seed)
    customer, terminal = _meetings(drawn_customers.home_km, drawn_terminals.place_km)
    first_used = np.searchsorted(customer, np.arange(customers + 1))
    return Population(drawn_customers, drawn_terminals, terminal, first_used)


def _draw_customers(count: int, seed: int) -> Customers:
    homes, habits = stream(seed, Concern.HOMES), stream(seed, Concern.HABITS)
    return Customers(
        home_km=homes.uniform(0, SIDE_KM, (count, 2)),
        mean_amount=habits.uniform(5, 100, count),
        attempts_per_day=habits.uniform(0, 4, count),
    )


def _draw_terminals(count: int, seed: int) -> Terminals:
    shares = [category.share for category in CATEGORIES]
    return Terminals(
        place_km=stream(seed, Concern.TERMINAL_PLACES).uniform(0, SIDE_KM, (count, 2)),
        category=stream(seed, Concern.TERMINAL_CATEGORIES).choice(len(shares), count, p=shares),
    )


def _meetings(home_km: Floats, place_km: Floats) -> tuple[Ints, Ints]:
    """Customers and the terminals that they use, in order of customer and terminal."""
    places = KDTree(place_km)
    near = KDTree(home_km).sparse_distance_matrix(places, REACH_KM, output_type="ndarray")
    near = near[near["v"] < REACH_KM]
    few = np.flatnonzero(np.bincount(near["i"], minlength=len(home_km)) < FEWEST_TERMINALS)
    fewest = min(FEWEST_TERMINALS, len(place_km))
    _, nearest = places.query(home_km[few], k=np.arange(1, fewest + 1))
    customer = np.concatenate([near["i"], np.repeat(few, fewest)])
    terminal = np.concatenate([near["j"], nearest.ravel()])
    pairs = np.unique(customer * len(place_km) + terminal)
    return np.divmod(pairs, len(place_km))
