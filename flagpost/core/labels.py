"""Labels, and whether a transaction is known as fraud at some time.

A label counts from seven days after its transaction on, since that is how long most take; a later
one from a day after it is known. So it makes no difference which member of a group hears of it
when, as long as no member is more than a day ahead of the labels. The latest label that counts
decides; a transaction without one is genuine.

The labels of a terminal lie in a history by (time of the transaction, its tag, known_at).
"""

from flagpost.compiled import compiled
from flagpost.core.features import LABEL_DELAY_US, LATE_LABEL_DELAY_US
from flagpost.core.history import (
    ABSENT,
    LENGTH,
    NO_ROOM,
    PAYLOAD,
    START,
    TAG,
    TOUCHED_US,
    Arena,
    Int64s,
    insert,
    make_room,
    open_slot,
    slot_of,
)

KNOWN_AT, IS_FRAUD, IS_FOUND = PAYLOAD, PAYLOAD + 1, PAYLOAD + 2
"""`IS_FOUND` is 1 when the transaction was seen at the terminal; looking for it again is spared."""
LABEL_PAYLOAD = 3


@compiled
def counts_from_us(time_us: int, known_at_us: int) -> int:
    """Return from when on a label counts, given the time of its transaction."""
    return max(time_us + LABEL_DELAY_US, known_at_us + LATE_LABEL_DELAY_US)


@compiled
def remember_label(
    labels: Arena, key: int, time_us: int, tag: int, known_at_us: int, is_fraud: int,
    horizon_us: int,
) -> int:  # fmt: skip
    """Add a label unless it is there; returns 0 or NO_ROOM.

    Labels of transactions at or before the horizon may be dropped.
    """
    slot = slot_of(labels, key)
    if slot == ABSENT:
        slot = open_slot(labels, key, 0)
        if slot == NO_ROOM:
            return NO_ROOM
    start, length = labels.slots[slot, START], labels.slots[slot, LENGTH]
    label = (time_us, tag, known_at_us, is_fraud)
    index = first_label(labels.times, start, length, time_us)
    while index < length and _label_at(labels, start + index) < label:
        index += 1
    if index < length and _label_at(labels, start + index) == label:
        return 0
    dropped = make_room(labels, slot, horizon_us)
    if dropped == NO_ROOM:
        return NO_ROOM
    place = insert(labels, slot, max(index - dropped, 0), time_us, tag)
    labels.entries[place, KNOWN_AT] = known_at_us
    labels.entries[place, IS_FRAUD] = is_fraud
    labels.entries[place, IS_FOUND] = 0
    labels.slots[slot, TOUCHED_US] = max(labels.slots[slot, TOUCHED_US], known_at_us)
    return 0


@compiled
def _label_at(labels: Arena, row: int) -> tuple[int, int, int, int]:
    entries = labels.entries
    return labels.times[row], entries[row, TAG], entries[row, KNOWN_AT], entries[row, IS_FRAUD]


@compiled
def is_fraud_at(labels: Arena, slot: int, time_us: int, tag: int, now_us: int) -> bool:
    """Say whether a transaction is known as fraud at a time, by the labels of a terminal."""
    start, length = labels.slots[slot, START], labels.slots[slot, LENGTH]
    row = start + first_label(labels.times, start, length, time_us)
    fraud = False
    while row < start + length and labels.times[row] == time_us:
        known_at_us = labels.entries[row, KNOWN_AT]
        if labels.entries[row, TAG] == tag and counts_from_us(time_us, known_at_us) <= now_us:
            fraud = labels.entries[row, IS_FRAUD] == 1
        row += 1
    return fraud


@compiled
def first_label(times: Int64s, start: int, length: int, time_us: int) -> int:
    """Count the labels of transactions before a time."""
    low, high = 0, length
    while low < high:
        middle = (low + high) >> 1
        if times[start + middle] < time_us:
            low = middle + 1
        else:
            high = middle
    return low
