"""What the stream has shown so far: a fold over journal segments, then over the live batches."""

from flagpost.compiled import compiled
from flagpost.core.effects import Segment
from flagpost.core.features import CUSTOMER_SUMS, FEATURES, RETENTION_US, Batch, observe, remember
from flagpost.core.history import (
    ABSENT,
    NO_ROOM,
    Arena,
    count_until,
    forget_idle,
    forget_owner,
    grown,
    latest_us,
    make_room,
    new_arena,
    open_slot,
    slot_of,
)
from flagpost.core.observed import Observed
from flagpost.core.segment import Entries, unpack
from flagpost.events import Partition


class State:
    """The histories of all customers in the partitions that are loaded.

    Not safe for use by several threads. After any failure between `observe` and the commit of
    what was observed the state is ahead of the journal: forget the partitions and fold again.
    """

    def __init__(self) -> None:
        self._customers = new_arena(CUSTOMER_SUMS)
        self._owners: dict[Partition, int] = {}

    def owner_of(self, partition: Partition) -> int:
        """Return the number that marks this partition's customers in a `Batch`."""
        return self._owners.setdefault(partition, len(self._owners))

    def observe(self, batch: Batch, population_mean_cents: float) -> Observed:
        """Compute the features of n transactions and add them to the histories, in order."""
        n, done = batch.user_key.size, 0
        observed = Observed.blank(n, len(FEATURES))
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
        while True:
            done = _restore(self._customers, entries, owner, done)
            if done == entries.user_key.size:
                return
            self._customers = grown(self._customers)

    def forget(self, partition: Partition) -> None:
        """Drop all that is known of a partition's customers."""
        forget_owner(self._customers, self.owner_of(partition))

    def forget_idle(self, partition: Partition, event_time_us: int) -> None:
        """Drop a partition's customers whose history lies behind every window at this time."""
        forget_idle(self._customers, self.owner_of(partition), event_time_us - RETENTION_US)

    @property
    def n_bytes(self) -> int:
        """Memory held by the histories."""
        return sum(array.nbytes for array in self._customers)


@compiled
def _restore(customers: Arena, entries: Entries, owner: int, first: int) -> int:
    for row in range(first, entries.user_key.size):
        slot = slot_of(customers, entries.user_key[row])
        if slot == ABSENT:
            slot = open_slot(customers, entries.user_key[row], owner)
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
            customers, slot, index, time_us,
            entries.transaction_key[row], entries.amount_cents[row], entries.is_high[row],
        )  # fmt: skip
    return entries.user_key.size
