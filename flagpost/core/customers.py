"""A customer's history and the features that it gives."""

import numpy as np
from numpy.typing import NDArray

from flagpost.compiled import compiled
from flagpost.core.calendar import DAY_US, HOUR_US, SECOND_US
from flagpost.core.features import (
    AMOUNT,
    AMOUNT_RATIO,
    AMOUNT_TO_BALANCE,
    AVG_7D,
    AVG_24H,
    AVG_30D,
    COUNT_1H,
    COUNT_7D,
    COUNT_24H,
    COUNT_30D,
    HABIT_MIN_COUNT,
    HIGH_COUNT_7D,
    HIGH_COUNT_14D,
    HIGH_RATIO,
    IS_NIGHT,
    IS_WEEKEND,
    LONGEST_GAP_US,
    RATIO_IF_RECENT_HIGH,
    RETENTION_US,
    SECONDS_SINCE_LAST,
    TOTAL_1H,
    TOTAL_24H,
)
from flagpost.core.history import (
    ABSENT,
    LENGTH,
    NO_ROOM,
    PAYLOAD,
    START,
    TOUCHED_US,
    Arena,
    Int64s,
    count_until,
    forget_entries,
    insert,
    open_slot,
    slot_of,
)
from flagpost.events import UNKNOWN_BALANCE

Floats = NDArray[np.float64]

CENTS, HABIT_CENTS, HABIT_COUNT = 0, 1, 2
"""Running sums of a customer's history."""
CUSTOMER_PAYLOAD = 3


@compiled
def history_of(customers: Arena, user_key: int, owner: int, stream_time_us: int) -> int:
    """Return the slot of a customer who has a transaction at this stream time, or NO_ROOM.

    A customer without one for the length of the retention begins anew. So it makes no difference
    whether the history was dropped from memory meanwhile.
    """
    slot = slot_of(customers, user_key)
    if slot == ABSENT:
        slot = open_slot(customers, user_key, owner)
        if slot == NO_ROOM:
            return NO_ROOM
    elif customers.slots[slot, TOUCHED_US] <= stream_time_us - RETENTION_US:
        forget_entries(customers, slot)
    return slot


@compiled
def remember_customer(
    customers: Arena, slot: int, index: int, stream_time_us: int,
    time_us: int, key: int, cents: int, high: int,
) -> None:  # fmt: skip
    """Add a transaction to a history that has room for it; `high` is 1 for a high amount."""
    place = insert(customers, slot, index, time_us, key)
    customers.slots[slot, TOUCHED_US] = stream_time_us
    end = customers.slots[slot, START] + customers.slots[slot, LENGTH]
    for row in range(place + 1, end + 1):
        customers.entries[row, PAYLOAD + CENTS] += cents
        customers.entries[row, PAYLOAD + HABIT_CENTS] += (1 - high) * cents
        customers.entries[row, PAYLOAD + HABIT_COUNT] += 1 - high


@compiled
def fill_customer(
    customers: Arena,
    slot: int,
    index: int,
    horizon_us: int,
    time_us: int,
    cents: int,
    balance_cents: int,
    population_mean_cents: float,
    out: Floats,
) -> bool:
    """Fill one row for a transaction that will stand at `index`; say whether its amount is high.

    Windows end at the horizon even for a very late transaction: older entries may be gone or not.
    """
    times, entries, start = customers.times, customers.entries, customers.slots[slot, START]
    end = start + index
    in_30d = count_until(times, start, index, max(time_us - 30 * DAY_US, horizon_us))
    in_14d = count_until(times, start, index, max(time_us - 14 * DAY_US, horizon_us))
    in_7d = count_until(times, start, index, max(time_us - 7 * DAY_US, horizon_us))
    in_24h = count_until(times, start, index, max(time_us - DAY_US, horizon_us))
    in_1h = count_until(times, start, index, max(time_us - HOUR_US, horizon_us))
    out[AMOUNT] = cents / 100.0
    out[IS_WEEKEND] = (time_us // DAY_US + 3) % 7 >= 5  # 1970-01-01 was a Thursday
    out[IS_NIGHT] = time_us % DAY_US // HOUR_US <= 6
    out[COUNT_1H] = index - in_1h + 1
    out[COUNT_24H] = index - in_24h + 1
    out[COUNT_7D] = index - in_7d + 1
    out[COUNT_30D] = index - in_30d + 1
    out[TOTAL_1H] = (_between(entries, start + in_1h, end, CENTS) + cents) / 100.0
    out[TOTAL_24H] = (_between(entries, start + in_24h, end, CENTS) + cents) / 100.0
    out[AVG_24H] = out[TOTAL_24H] / out[COUNT_24H]
    out[AVG_7D] = (_between(entries, start + in_7d, end, CENTS) + cents) / 100.0 / out[COUNT_7D]
    out[AVG_30D] = (_between(entries, start + in_30d, end, CENTS) + cents) / 100.0 / out[COUNT_30D]
    out[SECONDS_SINCE_LAST] = _gap_us(times, end, index - in_30d, time_us) / SECOND_US
    habit_cents = _between(entries, start + in_30d, end, HABIT_CENTS)
    habit_count = _between(entries, start + in_30d, end, HABIT_COUNT)
    habit = (habit_cents + 2.0 * population_mean_cents) / (habit_count + 2)
    out[AMOUNT_RATIO] = cents / habit
    out[HIGH_COUNT_7D] = index - in_7d - _between(entries, start + in_7d, end, HABIT_COUNT)
    out[HIGH_COUNT_14D] = index - in_14d - _between(entries, start + in_14d, end, HABIT_COUNT)
    out[RATIO_IF_RECENT_HIGH] = min(out[AMOUNT_RATIO], 4.0) if out[HIGH_COUNT_7D] > 0 else 0.0
    out[AMOUNT_TO_BALANCE] = _share_of_balance(cents, balance_cents)
    return bool(out[AMOUNT_RATIO] > HIGH_RATIO and habit_count >= HABIT_MIN_COUNT)


@compiled
def _between(entries: Int64s, first: int, end: int, which: int) -> int:
    return entries[end, PAYLOAD + which] - entries[first, PAYLOAD + which]


@compiled
def _gap_us(times: Int64s, end: int, in_30d: int, time_us: int) -> int:
    return time_us - times[end - 1] if in_30d > 0 else LONGEST_GAP_US


@compiled
def _share_of_balance(cents: int, balance_cents: int) -> float:
    if balance_cents == UNKNOWN_BALANCE or cents == 0:
        return 0.0
    if balance_cents <= 0:
        return 10.0
    return min(cents / balance_cents, 10.0)
