"""What the stream has shown so far: a fold over journal segments, then over the live batches."""

import numpy as np
from numpy.typing import NDArray

from flagpost.compiled import compiled
from flagpost.core.customers import CUSTOMER_PAYLOAD, history_of, remember_customer
from flagpost.core.effects import Segment
from flagpost.core.features import FEATURES, RETENTION_US
from flagpost.core.history import (
    LENGTH,
    NO_ROOM,
    START,
    Arena,
    Int64s,
    count_until,
    forget_idle,
    forget_owner,
    grown,
    latest_us,
    make_room,
    new_arena,
    used_bytes,
)
from flagpost.core.labels import LABEL_PAYLOAD, remember_label
from flagpost.core.observe import NO_TERMINAL, Batch, Histories, observe
from flagpost.core.observed import Observed
from flagpost.core.prefetch import AHEAD, prefetch_ends
from flagpost.core.segment import Entries, LabelEntries, unpack
from flagpost.core.stream_time import running_maximum
from flagpost.core.terminals import TERMINAL_PAYLOAD, remember_at_terminal
from flagpost.events import Partition


class State:
    """The customers of the partitions that are loaded; all terminals, and all labels of them.

    Customers belong to a partition. Terminals and labels are sets of facts that are the same for
    every member: adding one again changes nothing, in whatever order.

    Not safe for use by several threads. After any failure between `observe` and the commit of
    what was observed the customers are ahead of the journal: forget the partitions and fold again.
    """

    def __init__(self) -> None:
        self._histories = Histories(
            customers=new_arena(CUSTOMER_PAYLOAD),
            terminals=new_arena(TERMINAL_PAYLOAD),
            labels=new_arena(LABEL_PAYLOAD),
        )
        self._owners: dict[Partition, int] = {}
        self._folded_us: dict[int, int] = {}  # the stream time that each owner's fold has reached

    def owner_of(self, partition: Partition) -> int:
        """Return the number that marks this partition's customers in a `Batch`."""
        return self._owners.setdefault(partition, len(self._owners))

    def observe(
        self, batch: Batch, population_mean_cents: float, is_redelivered: NDArray[np.bool_]
    ) -> Observed:
        """Compute the features of n transactions and add them to the histories.

        They are taken in the order of their stream time, which leaves those of a partition in
        offset order. Those that are known to be redelivered, shape (n,), are duplicates whatever
        the state holds.
        """
        n, done = batch.user_key.size, 0
        order = np.argsort(batch.stream_time_us, kind="stable")
        observed = Observed(
            features=np.zeros((n, len(FEATURES))),
            is_high=np.zeros(n, np.bool_),
            is_duplicate=is_redelivered.copy(),
            terminal_key=batch.terminal_key,
        )
        while True:
            done = observe(
                self._histories, batch, order, population_mean_cents, done,
                observed.features, observed.is_high, observed.is_duplicate,
            )  # fmt: skip
            if done == n:
                return observed
            self._grow()

    def fold(self, segment: Segment) -> None:
        """Add a segment of a partition that is ours; its segments come in order.

        Raises:
            ValueError: the segment is of another version or broken.
        """
        entries = unpack(segment.columns)
        if isinstance(entries, Entries):
            self._restore_customers(entries, self.owner_of(segment.partition))
        self._hear(entries, segment.max_event_time_us)

    def overhear(self, segment: Segment) -> None:
        """Add what a segment of somebody else's partition says about terminals and labels.

        Raises:
            ValueError: the segment is of another version or broken.
        """
        self._hear(unpack(segment.columns), segment.max_event_time_us)

    def learn(self, labels: LabelEntries, stream_time_us: int) -> None:
        """Add n labels; no transaction before this stream time is going to ask for them."""
        n, done, horizon_us = labels.is_fraud.size, 0, stream_time_us - RETENTION_US
        while (done := _learn(self._histories.labels, labels, horizon_us, done)) < n:
            self._grow()

    def _hear(self, entries: Entries | LabelEntries, stream_time_us: int) -> None:
        if isinstance(entries, LabelEntries):
            self.learn(entries, int(entries.known_at_us.min()))
            return
        n, done = entries.user_key.size, 0
        while (
            done := _restore_terminals(self._histories.terminals, entries, stream_time_us, done)
        ) < n:
            self._grow()

    def _restore_customers(self, entries: Entries, owner: int) -> None:
        stream_time_us = running_maximum(entries.event_time_us, self._folded_us.get(owner))
        self._folded_us[owner] = int(stream_time_us[-1])
        n, done = entries.user_key.size, 0
        while (
            done := _restore_customers(
                self._histories.customers, entries, stream_time_us, owner, done
            )
        ) < n:
            self._grow()

    def _grow(self) -> None:
        self._histories = Histories(*map(grown, self._histories))

    def forget(self, partition: Partition) -> None:
        """Drop all that is known of a partition's customers."""
        owner = self.owner_of(partition)
        forget_owner(self._histories.customers, owner)
        self._folded_us.pop(owner, None)

    def forget_idle(self, partition: Partition, stream_time_us: int) -> None:
        """Drop what nothing can see any more at this time.

        Customers of the partition begin anew after such a pause anyway (see `history_of`), and no
        window reaches so far back at a terminal.
        """
        owner, horizon_us = self.owner_of(partition), stream_time_us - RETENTION_US
        forget_idle(self._histories.customers, owner, horizon_us)
        forget_idle(self._histories.terminals, 0, horizon_us)
        forget_idle(self._histories.labels, 0, horizon_us)

    @property
    def n_bytes(self) -> int:
        """Memory held by the histories."""
        return sum(map(used_bytes, self._histories))


@compiled
def _restore_customers(
    customers: Arena, entries: Entries, stream_time_us: Int64s, owner: int, first: int
) -> int:
    for row in range(first, entries.user_key.size):
        if (row - first) % AHEAD == 0:
            prefetch_ends(customers, entries.user_key[row : row + AHEAD])
        slot = history_of(customers, entries.user_key[row], owner, stream_time_us[row])
        if slot == NO_ROOM:
            return row
        time_us, start, length = (
            entries.event_time_us[row], customers.slots[slot, START], customers.slots[slot, LENGTH],
        )  # fmt: skip
        latest = latest_us(customers.times, start, length)
        if make_room(customers, slot, max(time_us, latest) - RETENTION_US) == NO_ROOM:
            return row
        index = count_until(
            customers.times, customers.slots[slot, START], customers.slots[slot, LENGTH], time_us
        )
        remember_customer(
            customers, slot, index, stream_time_us[row], time_us,
            entries.transaction_key[row], entries.amount_cents[row], entries.is_high[row],
        )  # fmt: skip
    return entries.user_key.size


@compiled
def _restore_terminals(terminals: Arena, entries: Entries, stream_time_us: int, first: int) -> int:
    for row in range(first, entries.user_key.size):
        if (row - first) % AHEAD == 0:
            prefetch_ends(terminals, entries.terminal_key[row : row + AHEAD])
        if entries.terminal_key[row] == NO_TERMINAL:
            continue
        done = remember_at_terminal(
            terminals, entries.terminal_key[row], entries.event_time_us[row],
            entries.transaction_key[row], entries.amount_ratio[row], entries.high_count_14d[row],
            stream_time_us,
        )  # fmt: skip
        if done == NO_ROOM:
            return row
    return entries.user_key.size


@compiled
def _learn(labels: Arena, entries: LabelEntries, horizon_us: int, first: int) -> int:
    for row in range(first, entries.is_fraud.size):
        if entries.terminal_key[row] == NO_TERMINAL:
            continue
        done = remember_label(
            labels, entries.terminal_key[row], entries.event_time_us[row],
            entries.transaction_key[row], entries.known_at_us[row], entries.is_fraud[row],
            horizon_us,
        )  # fmt: skip
        if done == NO_ROOM:
            return row
    return entries.is_fraud.size
