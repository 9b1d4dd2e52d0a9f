"""A journal that nobody had to wait for: made-up transactions as packed segments."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from flagpost.core.calendar import DAY_US
from flagpost.core.effects import Segment
from flagpost.core.segment import Entries, pack
from flagpost.events import Partition

GROUP, PARTITIONS = "bench", 4
DAYS = 40
"""Short enough that no window has ended, so that a state holds all of it."""

FIRST_US = 20_000 * DAY_US
A_CUSTOMERS_EVENTS = 76
"""In these days, as in the log of the benchmark; there are twice as many terminals as customers."""

EVENTS_PER_SEGMENT = 5_000
"""Of a full poll over all partitions."""

SEED = 214


def partitions_of(n_events: int) -> list[Partition]:
    """Name the partitions that so many transactions are in."""
    return [Partition(f"made-up-{n_events}", number) for number in range(PARTITIONS)]


def make_segments(n_events: int) -> Iterator[Segment]:
    """Make the segments of about so many transactions in order of time."""
    draw = np.random.default_rng(SEED)
    n_customers = max(n_events // A_CUSTOMERS_EVENTS, 1)
    customers = draw.integers(1, 2**62, n_customers)
    terminals = draw.integers(1, 2**62, 2 * n_customers)
    n_batches = max(n_events // (PARTITIONS * EVENTS_PER_SEGMENT), 1)
    edges_s = np.linspace(0, DAYS * 86_400, n_batches + 1).astype(np.int64)
    for batch, seconds in enumerate(pairwise(edges_s.tolist())):
        for partition in partitions_of(n_events):
            entries = _draw(draw, customers[partition.number :: PARTITIONS], terminals, seconds)
            yield Segment(
                partition,
                batch * EVENTS_PER_SEGMENT,
                (batch + 1) * EVENTS_PER_SEGMENT,
                int(entries.event_time_us[0]),
                int(entries.event_time_us[-1]),
                pack(entries),
            )


def _draw(
    draw: np.random.Generator,
    customers: np.ndarray[tuple[int], np.dtype[np.int64]],
    terminals: np.ndarray[tuple[int], np.dtype[np.int64]],
    seconds: tuple[int, int],
) -> Entries:
    n = EVENTS_PER_SEGMENT
    return Entries(
        user_key=draw.choice(customers, n),
        terminal_key=draw.choice(terminals, n),
        event_time_us=FIRST_US + 1_000_000 * np.sort(draw.integers(*seconds, n)),
        amount_cents=draw.integers(100, 20_000, n),
        transaction_key=draw.integers(1, 2**62, n),
        amount_ratio=draw.exponential(1.0, n),
        high_count_14d=draw.integers(0, 3, n),
        is_high=(draw.random(n) < 0.02).astype(np.int64),
    )
