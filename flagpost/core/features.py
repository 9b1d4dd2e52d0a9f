"""The feature matrix: what each column means, and the one function that computes it.

Training, evaluation, the worker and the API all come here; no feature is written a second time.
"""

from enum import StrEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flagpost.compiled import compiled_in_place
from flagpost.core.history import (
    ABSENT,
    NO_ROOM,
    SUMS,
    TIME,
    Arena,
    Int64s,
    count_until,
    forget_entries,
    holds,
    insert,
    latest_us,
    make_room,
    open_slot,
    slot_of,
)
from flagpost.events import UNKNOWN_BALANCE

SECOND_US = 1_000_000
HOUR_US = 3_600 * SECOND_US
DAY_US = 24 * HOUR_US

RETENTION_US = 38 * DAY_US
"""What lies this far behind a customer's latest transaction is in no window any more.

The longest window has 30 days, so a transaction may come up to 8 days late and still be scored as
if it had come in time.
"""

LONGEST_GAP_US = 30 * DAY_US
"""`seconds_since_last` ends here; a customer's first transaction has this value."""

HIGH_RATIO = 2.5
"""An amount this many times the customer's habit is a high one, and not part of the habit."""

HABIT_MIN_COUNT = 3
"""With fewer habitual transactions than this nothing counts as high."""

CENTS, HABIT_CENTS, HABIT_COUNT = 0, 1, 2
"""Running sums of a customer's history."""
CUSTOMER_SUMS = 3


class ReasonCode(StrEnum):
    """Why a transaction looks like fraud, for people and for reports."""

    UNUSUAL_AMOUNT = "UNUSUAL_AMOUNT"
    UNUSUAL_FREQUENCY = "UNUSUAL_FREQUENCY"
    UNUSUAL_TIME = "UNUSUAL_TIME"
    RECENT_HIGH_AMOUNTS = "RECENT_HIGH_AMOUNTS"
    HIGH_TX_VS_BALANCE = "HIGH_TX_VS_BALANCE"


class Feature(NamedTuple):
    """A column of the feature matrix; `sentence` says a value to an analyst."""

    name: str
    unit: str
    reason: ReasonCode
    sentence: str


_AMOUNT, _FREQUENCY = ReasonCode.UNUSUAL_AMOUNT, ReasonCode.UNUSUAL_FREQUENCY
_TIME, _HIGH = ReasonCode.UNUSUAL_TIME, ReasonCode.RECENT_HIGH_AMOUNTS

FEATURES = (
    Feature("amount", "currency units", _AMOUNT, "amount is {:,.2f}"),
    Feature("is_weekend", "0 or 1", _TIME, "weekend (1) or weekday (0): {:.0f}"),
    Feature("is_night", "0 or 1", _TIME, "night, hour 0 to 6 (1), or day (0): {:.0f}"),
    Feature("customer_tx_count_1h", "count", _FREQUENCY, "{:.0f} transactions in one hour"),
    Feature("customer_tx_count_24h", "count", _FREQUENCY, "{:.0f} transactions in 24 hours"),
    Feature("customer_tx_count_7d", "count", _FREQUENCY, "{:.0f} transactions in 7 days"),
    Feature("customer_tx_count_30d", "count", _FREQUENCY, "{:.0f} transactions in 30 days"),
    Feature("customer_total_amount_1h", "currency units", _AMOUNT, "{:,.2f} spent in one hour"),
    Feature("customer_total_amount_24h", "currency units", _AMOUNT, "{:,.2f} spent in 24 hours"),
    Feature("customer_avg_amount_24h", "currency units", _AMOUNT,
            "average amount of the last 24 hours is {:,.2f}"),
    Feature("customer_avg_amount_7d", "currency units", _AMOUNT,
            "average amount of the last 7 days is {:,.2f}"),
    Feature("customer_avg_amount_30d", "currency units", _AMOUNT,
            "average amount of the last 30 days is {:,.2f}"),
    Feature("seconds_since_last", "seconds, at most 30 days", _FREQUENCY,
            "{:,.0f} seconds since this customer's last transaction"),
    Feature("amount_ratio", "ratio", _AMOUNT,
            "amount is {:.1f} times this customer's 30-day average"),
    Feature("customer_high_count_7d", "count", _HIGH,
            "{:.0f} unusually high amounts of this customer in 7 days before"),
    Feature("customer_high_count_14d", "count", _HIGH,
            "{:.0f} unusually high amounts of this customer in 14 days before"),
    Feature("ratio_if_recent_high", "ratio, at most 4", _HIGH,
            "unusually high amounts came shortly before this one, {:.1f} times the habit"),
    Feature("amount_to_balance", "share, at most 10", _AMOUNT,
            "amount is {:.0%} of the account balance"),
)  # fmt: skip

FEATURE_NAMES = tuple(feature.name for feature in FEATURES)

(
    AMOUNT, IS_WEEKEND, IS_NIGHT,
    COUNT_1H, COUNT_24H, COUNT_7D, COUNT_30D,
    TOTAL_1H, TOTAL_24H, AVG_24H, AVG_7D, AVG_30D,
    SECONDS_SINCE_LAST, AMOUNT_RATIO, HIGH_COUNT_7D, HIGH_COUNT_14D, RATIO_IF_RECENT_HIGH,
    AMOUNT_TO_BALANCE,
) = range(len(FEATURES))  # fmt: skip


class Batch(NamedTuple):
    """The columns that features are made of, n transactions in the order of processing."""

    user_key: Int64s
    owner: Int64s  # which partition the customer belongs to
    event_time_us: Int64s
    amount_cents: Int64s
    account_balance_cents: Int64s
    transaction_key: Int64s
    stream_time_us: Int64s  # the latest event time of the partition so far


@compiled_in_place
def observe(
    customers: Arena,
    batch: Batch,
    population_mean_cents: float,
    first: int,
    matrix: NDArray[np.float64],
    is_high: NDArray[np.bool_],
    is_duplicate: NDArray[np.bool_],
) -> int:
    """Fill the rows from `first` on and add each transaction to its customer's history.

    A row is made of what the history held before, plus the transaction itself. A duplicate (same
    customer, time and transaction id) is marked, and its row left as it is; so are rows that come
    marked. Returns how many transactions are done: fewer than n when the arena has to grow before
    the next one.
    """
    for row in range(first, batch.user_key.size):
        if is_duplicate[row]:
            continue
        time_us, key = batch.event_time_us[row], batch.transaction_key[row]
        slot = history_of(
            customers, batch.user_key[row], batch.owner[row], batch.stream_time_us[row]
        )
        if slot == NO_ROOM:
            return row
        entries, start, length = customers.entries, customers.starts[slot], customers.lengths[slot]
        horizon_us = max(time_us, latest_us(entries, start, length)) - RETENTION_US
        index = count_until(entries, start, length, time_us)
        if time_us > horizon_us and holds(entries, start, index, time_us, key):
            is_duplicate[row] = True
            continue
        dropped = make_room(customers, slot, horizon_us)
        if dropped == NO_ROOM:
            return row
        index, start = max(index - dropped, 0), customers.starts[slot]
        is_high[row] = _fill(
            entries, start, index, horizon_us, batch, population_mean_cents, row, matrix[row]
        )
        high = 1 if is_high[row] else 0
        remember(
            customers, slot, index, batch.stream_time_us[row],
            time_us, key, batch.amount_cents[row], high,
        )  # fmt: skip
    return batch.user_key.size


@compiled_in_place
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
    elif customers.touched_us[slot] <= stream_time_us - RETENTION_US:
        forget_entries(customers, slot)
    return slot


@compiled_in_place
def remember(
    customers: Arena, slot: int, index: int, stream_time_us: int,
    time_us: int, key: int, cents: int, high: int,
) -> None:  # fmt: skip
    """Add a transaction to a history that has room for it; `high` is 1 for a high amount."""
    customers.touched_us[slot] = stream_time_us
    habitual = 1 - high
    insert(customers, slot, index, time_us, key, (cents, habitual * cents, habitual))


@compiled_in_place
def _fill(
    entries: Int64s,
    start: int,
    index: int,
    horizon_us: int,
    batch: Batch,
    population_mean_cents: float,
    row: int,
    out: NDArray[np.float64],
) -> bool:
    """Fill one row for a transaction that will stand at `index`; say whether its amount is high.

    Windows end at the horizon even for a very late transaction: older entries may be gone or not.
    """
    time_us, cents = batch.event_time_us[row], batch.amount_cents[row]
    end = start + index
    in_30d = count_until(entries, start, index, max(time_us - 30 * DAY_US, horizon_us))
    in_14d = count_until(entries, start, index, max(time_us - 14 * DAY_US, horizon_us))
    in_7d = count_until(entries, start, index, max(time_us - 7 * DAY_US, horizon_us))
    in_24h = count_until(entries, start, index, max(time_us - DAY_US, horizon_us))
    in_1h = count_until(entries, start, index, max(time_us - HOUR_US, horizon_us))
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
    out[SECONDS_SINCE_LAST] = _gap_us(entries, end, index - in_30d, time_us) / SECOND_US
    habit_cents = _between(entries, start + in_30d, end, HABIT_CENTS)
    habit_count = _between(entries, start + in_30d, end, HABIT_COUNT)
    habit = (habit_cents + 2.0 * population_mean_cents) / (habit_count + 2)
    out[AMOUNT_RATIO] = cents / habit
    out[HIGH_COUNT_7D] = index - in_7d - _between(entries, start + in_7d, end, HABIT_COUNT)
    out[HIGH_COUNT_14D] = index - in_14d - _between(entries, start + in_14d, end, HABIT_COUNT)
    out[RATIO_IF_RECENT_HIGH] = min(out[AMOUNT_RATIO], 4.0) if out[HIGH_COUNT_7D] > 0 else 0.0
    out[AMOUNT_TO_BALANCE] = _share_of_balance(cents, batch.account_balance_cents[row])
    return bool(out[AMOUNT_RATIO] > HIGH_RATIO and habit_count >= HABIT_MIN_COUNT)


@compiled_in_place
def _between(entries: Int64s, first: int, end: int, which: int) -> int:
    return entries[end, SUMS + which] - entries[first, SUMS + which]


@compiled_in_place
def _gap_us(entries: Int64s, end: int, in_30d: int, time_us: int) -> int:
    return time_us - entries[end - 1, TIME] if in_30d > 0 else LONGEST_GAP_US


@compiled_in_place
def _share_of_balance(cents: int, balance_cents: int) -> float:
    if balance_cents == UNKNOWN_BALANCE or cents == 0:
        return 0.0
    if balance_cents <= 0:
        return 10.0
    return min(cents / balance_cents, 10.0)
