"""Whether the card was there: online payments, and how far from home the payer was."""

import numpy as np

from flagpost.training.simulator.payments import Payments
from flagpost.training.simulator.population import CATEGORIES, Flags, Floats, Population
from flagpost.training.simulator.random_streams import Concern, stream

_STOLEN_ONLINE_FACTOR = 1.5
_ONLINE_DISTANCE_KM = 4.0
_STOLEN_ONLINE_DISTANCE_KM = 8.0


def draw_online(payments: Payments, population: Population, stolen: Flags, seed: int) -> Flags:
    """Which payments were made online, shape (n,); stolen cards are used so more often."""
    share = np.array([category.online_share for category in CATEGORIES])
    probability = share[population.terminals.category[payments.terminal]]
    probability[stolen] *= _STOLEN_ONLINE_FACTOR
    online: Flags = stream(seed, Concern.ONLINE).random(len(stolen)) < probability
    return online


def draw_distances_km(
    payments: Payments, population: Population, online: Flags, stolen: Flags, seed: int
) -> Floats:
    """Kilometres from the customer's home to the terminal, or online to the device; one decimal."""
    mean_km = np.where(stolen, _STOLEN_ONLINE_DISTANCE_KM, _ONLINE_DISTANCE_KM)
    device_km = stream(seed, Concern.ONLINE_DISTANCES).exponential(mean_km)
    offset_km = (
        population.customers.home_km[payments.customer]
        - population.terminals.place_km[payments.terminal]
    )
    terminal_km = np.sqrt(offset_km[:, 0] ** 2 + offset_km[:, 1] ** 2)
    distance_km: Floats = np.where(online, device_km, terminal_km)
    return distance_km.round(1)
