"""Good transactions as columns: what the core works on."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flagpost.event_keys import read_ids
from flagpost.event_times import parse_times
from flagpost.inspection import MAX_ACCOUNT_BALANCE, MAX_AMOUNT
from flagpost.texts import kept

UNKNOWN_BALANCE = np.int64(np.iinfo(np.int64).min)
"""In place of an account balance that the message does not give."""


@dataclass(frozen=True, slots=True)
class Transactions:
    """The n accepted messages of a batch as columns, in the order of the input.

    Attributes:
        message_index: (n,) place of each in the input.
        transaction_id: n ids; an integer id is its decimal text.
        user_id: n ids.
        terminal_id: n ids, or None where the message names no terminal.
        event_time_us: (n,) microseconds since 1970-01-01 UTC.
        amount_cents: (n,) hundredths of the currency's unit, 0 or more.
        account_balance_cents: (n,) may be negative; `UNKNOWN_BALANCE` where absent.
        transaction_key: (n,) 64-bit hash of the id, see `event_keys`.
        user_key: (n,) the same of the user.
        terminal_key: (n,) the same of the terminal; 0 where absent.
    """

    message_index: NDArray[np.int64]
    transaction_id: Sequence[str]
    user_id: Sequence[str]
    terminal_id: Sequence[str | None]
    event_time_us: NDArray[np.int64]
    amount_cents: NDArray[np.int64]
    account_balance_cents: NDArray[np.int64]
    transaction_key: NDArray[np.int64]
    user_key: NDArray[np.int64]
    terminal_key: NDArray[np.int64]

    def take(self, keep: NDArray[np.bool_]) -> "Transactions":
        """Keep the rows where the (n,) mask is true."""
        if keep.all():
            return self
        return Transactions(*(kept(getattr(self, field.name), keep) for field in fields(self)))


def merged(first: Transactions, second: Transactions) -> Transactions:
    """Bring the rows of both into the order of their messages."""
    order = np.argsort(np.concatenate([first.message_index, second.message_index]))
    pairs = ((getattr(first, field.name), getattr(second, field.name)) for field in fields(first))
    return Transactions(*(_merged(*pair, order) for pair in pairs))


def _merged(first: Any, second: Any, order: NDArray[np.int64]) -> Any:  # noqa: ANN401  (as above)
    if isinstance(first, np.ndarray):
        return np.concatenate([first, second])[order]
    texts = [*first, *second]
    return [texts[place] for place in order.tolist()]


def to_columns(
    decoded: Sequence[Any], message_index: NDArray[np.int64], latest_event_time_us: int
) -> tuple[Transactions, NDArray[np.bool_]]:
    """Turn n decoded messages into columns.

    Returns:
        The columns, and (n,) true for each row that a closer look has to accept or refuse; the
        numbers of a row that is refused mean nothing.
    """
    transaction_ids = read_ids([event.transaction_id for event in decoded])
    user_ids = read_ids([event.user_id for event in decoded])
    terminal_ids = read_ids([event.terminal_id for event in decoded])
    times = parse_times([event.timestamp for event in decoded])
    amounts = np.array([event.amount for event in decoded], np.float64)
    balances = np.array([event.account_balance for event in decoded], np.float64)
    amount_cents, is_amount_good = _to_exact_cents(amounts)
    balance_cents, is_balance_good = _to_nearest_cents(balances)
    is_time_good = (times >= 0) & (times <= latest_event_time_us)
    doubtful = ~(is_time_good & is_amount_good & is_balance_good)
    for ids in (transaction_ids, user_ids, terminal_ids):
        doubtful |= ids.doubtful
    transactions = Transactions(
        message_index=message_index,
        transaction_id=transaction_ids.texts,
        user_id=user_ids.texts,
        terminal_id=terminal_ids.texts,
        event_time_us=times,
        amount_cents=amount_cents,
        account_balance_cents=balance_cents,
        transaction_key=transaction_ids.keys,
        user_key=user_ids.keys,
        terminal_key=terminal_ids.keys,
    )
    return transactions, doubtful


def _to_exact_cents(
    amounts: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Convert amounts; good are those of whole cents from 0 to the largest amount.

    An amount is of whole cents if its nearest cent is written as the same double. That is exact:
    up to 2^53 cents every cent has a double of its own.
    """
    is_in_range = (amounts >= 0) & (amounts <= MAX_AMOUNT)
    amounts = np.where(is_in_range, amounts, 0.0)
    cents = np.rint(amounts * 100)
    return cents.astype(np.int64), is_in_range & (cents / 100 == amounts)


def _to_nearest_cents(
    balances: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Convert balances, rounded to cents; NaN stands for an unknown one and is good."""
    is_unknown = np.isnan(balances)
    is_in_range = np.abs(balances) <= MAX_ACCOUNT_BALANCE
    cents = np.rint(np.where(is_in_range, balances, 0.0) * 100).astype(np.int64)
    return np.where(is_unknown, UNKNOWN_BALANCE, cents), is_unknown | is_in_range
