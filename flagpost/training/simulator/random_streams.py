"""One independent stream of random numbers for each thing that is left to chance."""

from enum import IntEnum, auto

import numpy as np


class Concern(IntEnum):
    """What is drawn. The number seeds the stream: add new concerns at the end."""

    HOMES = auto()
    HABITS = auto()
    TERMINAL_PLACES = auto()
    TERMINAL_CATEGORIES = auto()
    ATTEMPTS = auto()
    TIMES_OF_DAY = auto()
    AMOUNTS = auto()
    TERMINAL_CHOICES = auto()
    SKIMMED_TERMINALS = auto()
    STOLEN_CARDS = auto()
    ONLINE = auto()
    ONLINE_DISTANCES = auto()
    ACCOUNTS = auto()
    REVIEWS = auto()
    LABEL_DELAYS = auto()


def stream(seed: int, concern: Concern) -> np.random.Generator:
    """Open the stream of one concern; it depends on the seed and the concern alone."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(concern,))))
