"""Drives `State` with rows written by hand."""

import numpy as np

from flagpost.core.observe import NO_TERMINAL, Batch
from flagpost.core.observed import Observed
from flagpost.core.segment import LabelEntries
from flagpost.core.state import State
from flagpost.core.stream_time import running_maximum
from flagpost.events import UNKNOWN_BALANCE

MEAN_CENTS = 5_000.0

Row = tuple[int, int, int, int]
"""User, time, cents, transaction key."""


def observe(
    state: State,
    rows: list[Row],
    balance_cents: int = int(UNKNOWN_BALANCE),
    reached_us: int = 0,
    terminals: list[int] | None = None,
) -> Observed:
    users, times, cents, keys = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    batch = Batch(
        user_key=users,
        terminal_key=np.array(terminals or [NO_TERMINAL] * len(rows), np.int64),
        owner=np.zeros_like(users),
        event_time_us=times,
        amount_cents=cents,
        account_balance_cents=np.full_like(users, balance_cents),
        transaction_key=keys,
        stream_time_us=running_maximum(times, reached_us),
    )
    return state.observe(batch, MEAN_CENTS, np.zeros(users.size, np.bool_))


def label(state: State, *labels: tuple[int, int, int, int, int]) -> None:
    """Terminal, time, transaction key, known at, 1 for fraud."""
    columns = (np.array(column, np.int64) for column in zip(*labels, strict=True))
    state.learn(LabelEntries(*columns), 0)
