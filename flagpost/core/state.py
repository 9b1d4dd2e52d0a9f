"""What the stream has shown so far: a fold over journal segments, then over the live batches."""

import numpy as np
from numpy.typing import NDArray

from flagpost.compiled import compiled_in_place
from flagpost.core.effects import Segment
from flagpost.core.features import (
    CUSTOMER_SUMS,
    FEATURES,
    RETENTION_US,
    Batch,
    history_of,
    observe,
    remember,
)
from flagpost.core.history import (
    NO_ROOM,
    Arena,
    Int64s,
    count_until,
    forget_idle,
    forget_owner,
    grown,
    latest_us,
    make_room,
    new_arena,
)
from flagpost.core.observed import Observed
from flagpost.core.segment import Entries, unpack
from flagpost.core.stream_time import running_maximum
from flagpost.events import Partition


class State:
    """The histories of all customers in the partitions that are loaded.

    Not safe for use by several threads. After any failure between `observe` and the commit of
    what was observed the state is ahead of the journal: forget the partitions and fold again.
    """

    def __init__(self) -> None:
        self._customers = new_arena(CUSTOMER_SUMS)
        self._owners: dict[Partition, int] = {}
        self._folded_us: dict[int, int] = {}  # the stream time that each owner's fold has reached

    def owner_of(self, partition: Partition) -> int:
        """Return the number that marks this partition's customers in a `Batch`."""
        return self._owners.setdefault(partition, len(self._owners))

    def observe(
        self, batch: Batch, population_mean_cents: float, is_redelivered: NDArray[np.bool_]
    ) -> Observed:
        """Compute the features of n transactions and add them to the histories, in order.

        Those that are known to be redelivered, shape (n,), are duplicates whatever the state holds.
        """
        n, done = batch.user_key.size, 0
        observed = Observed.blank(n, len(FEATURES))
        observed.is_duplicate[:] = is_redelivered
        while True:
            done = observe(self._customers, batch, population_mean_cents, done, *observed)
            if done == n:
                return observed
            self._customers = grown(self._customers)

    def fold(self, segment: Segment) -> None:
        """Add the transactions of a journal segment; segments of a partition come in order.

        Raises:
            ValueError: the segment is of another version or broken.
        """
        entries = unpack(segment.columns)
        owner, done = self.owner_of(segment.partition), 0
        stream_time_us = running_maximum(entries.event_time_us, self._folded_us.get(owner))
        self._folded_us[owner] = int(stream_time_us[-1])
        while True:
            done = _restore(self._customers, entries, stream_time_us, owner, done)
            if done == entries.user_key.size:
                return
            self._customers = grown(self._customers)

    def forget(self, partition: Partition) -> None:
        """Drop all that is known of a partition's customers."""
        owner = self.owner_of(partition)
        forget_owner(self._customers, owner)
        self._folded_us.pop(owner, None)

    def forget_idle(self, partition: Partition, stream_time_us: int) -> None:
        """Drop the customers that begin anew at this time anyway (see `history_of`)."""
        forget_idle(self._customers, self.owner_of(partition), stream_time_us - RETENTION_US)

    @property
    def n_bytes(self) -> int:
        """Memory held by the histories."""
        return sum(array.nbytes for array in self._customers)


@compiled_in_place
def _restore(
    customers: Arena, entries: Entries, stream_time_us: Int64s, owner: int, first: int
) -> int:
    for row in range(first, entries.user_key.size):
        slot = history_of(customers, entries.user_key[row], owner, stream_time_us[row])
        if slot == NO_ROOM:
            return row
        time_us = entries.event_time_us[row]
        latest = latest_us(customers.entries, customers.starts[slot], customers.lengths[slot])
        if make_room(customers, slot, max(time_us, latest) - RETENTION_US) == NO_ROOM:
            return row
        index = count_until(
            customers.entries, customers.starts[slot], customers.lengths[slot], time_us
        )
        remember(
            customers, slot, index, stream_time_us[row], time_us,
            entries.transaction_key[row], entries.amount_cents[row], entries.is_high[row],
        )  # fmt: skip
    return entries.user_key.size
