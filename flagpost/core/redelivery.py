"""Duplicates that are older than the histories in memory: the journal still knows them.

Memory holds what a window can reach. When a whole log is sent again, or a customer's old
transaction after weeks, only the journal can tell that it was decided before.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from flagpost.core.features import RETENTION_US
from flagpost.core.history import Int64s
from flagpost.events import Partition


class Identified(Protocol):
    """What tells n transactions apart; shape (n,) each."""

    @property
    def user_key(self) -> Int64s:
        """Hash of the customer's id."""

    @property
    def event_time_us(self) -> Int64s:
        """Microseconds since 1970."""

    @property
    def transaction_key(self) -> Int64s:
        """Hash of the transaction's id."""


class Identities(NamedTuple):
    """The identities of n transactions."""

    user_key: Int64s
    event_time_us: Int64s
    transaction_key: Int64s


Recall = Callable[[Partition, int, int], Iterable[Identified]]
"""Reads what a partition has accepted between two event times, both included."""


def are_forgotten(event_time_us: Int64s, stream_time_us: Int64s) -> NDArray[np.bool_]:
    """Say which of n transactions memory would not hold any more, had they come before."""
    return event_time_us <= stream_time_us - RETENTION_US


def find_redelivered(
    partition: Partition, arrived: Identified, stream_time_us: Int64s, recall: Recall
) -> NDArray[np.bool_]:
    """Say which of n transactions of a partition were accepted before, as far as memory cannot.

    A transaction that was in memory once and is not any more lies behind the retention; only for
    those the journal is asked, and in a stream that is in time there is none. Among the n, one may
    lie behind it that was in time when it came first.
    """
    is_redelivered = np.zeros(stream_time_us.size, np.bool_)
    is_old = are_forgotten(arrived.event_time_us, stream_time_us)
    if not is_old.any():
        return is_redelivered
    times = set(arrived.event_time_us[is_old].tolist())
    seen = {
        identity
        for accepted in recall(partition, min(times), max(times))
        for identity in _identities(accepted)
        if identity[1] in times
    }
    for row, identity in enumerate(_identities(arrived)):
        if is_old[row]:
            is_redelivered[row] = identity in seen
        if identity[1] in times:
            seen.add(identity)
    return is_redelivered


def _identities(transactions: Identified) -> Iterator[tuple[int, int, int]]:
    return zip(
        transactions.user_key.tolist(),
        transactions.event_time_us.tolist(),
        transactions.transaction_key.tolist(),
        strict=True,
    )
