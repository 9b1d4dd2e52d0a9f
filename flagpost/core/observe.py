"""The one function that computes features: every path, online and offline, comes here."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flagpost.compiled import compiled
from flagpost.core.customers import fill_customer, history_of, remember_customer
from flagpost.core.features import (
    AMOUNT_RATIO,
    HIGH_COUNT_14D,
    RETENTION_US,
)
from flagpost.core.history import (
    LENGTH,
    NO_ROOM,
    START,
    Arena,
    Int64s,
    count_until,
    holds,
    latest_us,
    make_room,
)
from flagpost.core.prefetch import AHEAD, prefetch_place, prefetch_run, prefetch_slot
from flagpost.core.terminals import fill_terminal, fill_without_terminal, remember_at_terminal

NO_TERMINAL = 0


class Histories(NamedTuple):
    """All that is remembered."""

    customers: Arena
    terminals: Arena
    labels: Arena


class Batch(NamedTuple):
    """The columns that features are made of, n transactions in the order of processing.

    `terminal_key` is NO_TERMINAL where a transaction has none, or comes too late to see the
    terminal as the others did.
    """

    user_key: Int64s
    terminal_key: Int64s
    owner: Int64s  # which partition the customer belongs to
    event_time_us: Int64s
    amount_cents: Int64s
    account_balance_cents: Int64s
    transaction_key: Int64s
    stream_time_us: Int64s  # the latest event time of the partition so far


@compiled
def observe(
    histories: Histories,
    batch: Batch,
    order: Int64s,
    population_mean_cents: float,
    first: int,
    matrix: NDArray[np.float64],
    is_high: NDArray[np.bool_],
    is_duplicate: NDArray[np.bool_],
) -> int:
    """Fill the rows order[first:] and add each transaction to both of its histories.

    A row is made of what the histories held before, plus the transaction itself. A duplicate (same
    customer, time and transaction id) is marked, and its row left as it is; so are rows that come
    marked. Returns how many transactions are done: fewer than n when an arena has to grow before
    the next one.
    """
    customers, terminals, labels = histories
    for place in range(first, order.size):
        if (place - first) % AHEAD == 0:
            _prefetch_histories(histories, batch, order[place : place + AHEAD])
        row = order[place]
        if is_duplicate[row]:
            continue
        time_us, key = batch.event_time_us[row], batch.transaction_key[row]
        stream_time_us, terminal_key = batch.stream_time_us[row], batch.terminal_key[row]
        slot = history_of(customers, batch.user_key[row], batch.owner[row], stream_time_us)
        if slot == NO_ROOM:
            return place
        times = customers.times
        start, length = customers.slots[slot, START], customers.slots[slot, LENGTH]
        horizon_us = max(time_us, latest_us(times, start, length)) - RETENTION_US
        index = count_until(times, start, length, time_us)
        if time_us > horizon_us and holds(times, customers.entries, start, index, time_us, key):
            is_duplicate[row] = True
            continue
        dropped = make_room(customers, slot, horizon_us)
        if dropped == NO_ROOM:
            return place
        index, out = max(index - dropped, 0), matrix[row]
        is_high[row] = fill_customer(
            customers, slot, index, horizon_us, time_us, batch.amount_cents[row],
            batch.account_balance_cents[row], population_mean_cents, out,
        )  # fmt: skip
        if terminal_key == NO_TERMINAL:
            fill_without_terminal(out)
        else:
            fill_terminal(terminals, labels, terminal_key, time_us, out)
            done = remember_at_terminal(
                terminals, terminal_key, time_us, key,
                out[AMOUNT_RATIO], int(out[HIGH_COUNT_14D]), stream_time_us,
            )  # fmt: skip
            if done == NO_ROOM:
                return place
        remember_customer(
            customers, slot, index, stream_time_us,
            time_us, key, batch.amount_cents[row], 1 if is_high[row] else 0,
        )  # fmt: skip
    return order.size


@compiled
def _prefetch_histories(histories: Histories, batch: Batch, rows: Int64s) -> None:
    """Ask for what some transactions are going to touch; each loop needs what the last one got."""
    customers, terminals, labels = histories
    for row in rows:
        prefetch_place(customers, batch.user_key[row])
        prefetch_place(terminals, batch.terminal_key[row])
        prefetch_place(labels, batch.terminal_key[row])
    for row in rows:
        prefetch_slot(customers, batch.user_key[row])
        prefetch_slot(terminals, batch.terminal_key[row])
        prefetch_slot(labels, batch.terminal_key[row])
    for row in rows:
        prefetch_run(customers, batch.user_key[row])
        prefetch_run(terminals, batch.terminal_key[row])
