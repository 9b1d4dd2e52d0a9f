"""A terminal's history and the features that it gives.

A terminal is hit by customers of every partition. Its windows end seven days back, and by then
every member of a group has heard of every transaction: so they are the same for all, though each
member sees them in another order. The history is a set, sorted by time and tag.
"""

import numpy as np
from numpy.typing import NDArray

from flagpost.compiled import compiled
from flagpost.core.calendar import DAY_US
from flagpost.core.features import (
    HIGH_RATIO,
    LABEL_DELAY_US,
    RETENTION_US,
    TERMINAL_COUNT_1D,
    TERMINAL_COUNT_7D,
    TERMINAL_COUNT_30D,
    TERMINAL_DAYS_SINCE_GENUINE,
    TERMINAL_QUIET_DAYS,
    TERMINAL_RISK_1D,
    TERMINAL_RISK_7D,
    TERMINAL_RISK_30D,
    TERMINAL_RUN,
    TERMINAL_RUN_AGE_DAYS,
    TERMINAL_RUN_MIN_RATIO,
    TERMINAL_RUN_PLAIN,
)
from flagpost.core.history import (
    ABSENT,
    LENGTH,
    NO_ROOM,
    PAYLOAD,
    START,
    TAG,
    TOUCHED_US,
    Arena,
    count_until,
    insert,
    latest_us,
    make_room,
    open_slot,
    slot_of,
)
from flagpost.core.labels import (
    IS_FOUND,
    IS_FRAUD,
    KNOWN_AT,
    counts_from_us,
    first_label,
    is_fraud_at,
)

Floats = NDArray[np.float64]

RATIO, HIGH_COUNT = PAYLOAD, PAYLOAD + 1
"""`RATIO` holds the bits of a float: the amount by the customer's habit."""
TERMINAL_PAYLOAD = 2

REACH_US = 37 * DAY_US
"""Windows begin no earlier than this before a transaction."""

NO_RUN_MIN_RATIO = 3.0
UNKNOWN_DAYS = 7.0
"""What the features of days are where they have no meaning."""


@compiled
def terminal_slot(terminals: Arena, terminal_key: int) -> int:
    """Return the slot of a terminal that may take one more entry, or NO_ROOM."""
    slot = slot_of(terminals, terminal_key)
    return open_slot(terminals, terminal_key, 0) if slot == ABSENT else slot


@compiled
def remember_at_terminal(
    terminals: Arena, terminal_key: int, time_us: int, tag: int, ratio: float, high_count: int,
    stream_time_us: int,
) -> int:  # fmt: skip
    """Add a transaction unless it is there; returns 0 or NO_ROOM."""
    slot = terminal_slot(terminals, terminal_key)
    if slot == NO_ROOM:
        return NO_ROOM
    start, length = terminals.slots[slot, START], terminals.slots[slot, LENGTH]
    index = _place_of(terminals, start, length, time_us, tag)
    if _is_at(terminals, start + index, start + length, time_us, tag):
        return 0
    horizon_us = max(time_us, latest_us(terminals.times, start, length)) - RETENTION_US
    dropped = make_room(terminals, slot, horizon_us)
    if dropped == NO_ROOM:
        return NO_ROOM
    place = insert(terminals, slot, max(index - dropped, 0), time_us, tag)
    terminals.entries.view(np.float64)[place, RATIO] = ratio
    terminals.entries[place, HIGH_COUNT] = high_count
    terminals.slots[slot, TOUCHED_US] = max(terminals.slots[slot, TOUCHED_US], stream_time_us)
    return 0


@compiled
def fill_without_terminal(out: Floats) -> None:
    """Fill the columns of a transaction whose terminal says nothing."""
    out[TERMINAL_COUNT_1D] = out[TERMINAL_COUNT_7D] = out[TERMINAL_COUNT_30D] = 0.0
    out[TERMINAL_RISK_1D] = out[TERMINAL_RISK_7D] = out[TERMINAL_RISK_30D] = 0.0
    out[TERMINAL_RUN] = out[TERMINAL_RUN_PLAIN] = out[TERMINAL_RUN_AGE_DAYS] = 0.0
    out[TERMINAL_RUN_MIN_RATIO] = NO_RUN_MIN_RATIO
    out[TERMINAL_DAYS_SINCE_GENUINE] = out[TERMINAL_QUIET_DAYS] = UNKNOWN_DAYS


@compiled
def fill_terminal(
    terminals: Arena, labels: Arena, terminal_key: int, time_us: int, out: Floats
) -> None:
    """Fill the columns of a transaction from what is known at its terminal a week before."""
    fill_without_terminal(out)
    slot = slot_of(terminals, terminal_key)
    if slot == ABSENT:
        return
    start, length = terminals.slots[slot, START], terminals.slots[slot, LENGTH]
    until_us = time_us - LABEL_DELAY_US
    times = terminals.times
    end = count_until(times, start, length, until_us)
    begin = count_until(times, start, end, time_us - REACH_US)
    if begin == end:
        return
    in_1d = count_until(times, start, end, until_us - DAY_US)
    in_7d = count_until(times, start, end, until_us - 7 * DAY_US)
    out[TERMINAL_COUNT_1D] = end - in_1d
    out[TERMINAL_COUNT_7D] = end - in_7d
    out[TERMINAL_COUNT_30D] = end - begin
    labelled = slot_of(labels, terminal_key)
    if labelled != ABSENT:
        _fill_risks(terminals, slot, end, labels, labelled, time_us, out)
        _fill_run(terminals, slot, begin, end, labels, labelled, time_us, out)
    if out[TERMINAL_RUN] == 0:
        out[TERMINAL_QUIET_DAYS] = (time_us - times[start + end - 1]) / DAY_US


@compiled
def _fill_risks(
    terminals: Arena, slot: int, end: int, labels: Arena, labelled: int, time_us: int, out: Floats
) -> None:
    """Fill the shares of known frauds in the windows; labels are far fewer than transactions."""
    until_us, times, entries = time_us - LABEL_DELAY_US, labels.times, labels.entries
    first = labels.slots[labelled, START]
    behind = first + labels.slots[labelled, LENGTH]
    row = first + first_label(times, first, behind - first, time_us - REACH_US + 1)
    in_1d, in_7d, in_30d = 0, 0, 0
    while row < behind and times[row] <= until_us:
        at_us, tag, is_fraud = times[row], entries[row, TAG], False
        while row < behind and times[row] == at_us and entries[row, TAG] == tag:
            if counts_from_us(at_us, entries[row, KNOWN_AT]) <= time_us:
                is_fraud = entries[row, IS_FRAUD] == 1
            row += 1
        if is_fraud and _is_found(terminals, slot, end, labels, row - 1):
            in_30d += 1
            in_7d += at_us > until_us - 7 * DAY_US
            in_1d += at_us > until_us - DAY_US
    if in_30d > 0:
        out[TERMINAL_RISK_30D] = in_30d / out[TERMINAL_COUNT_30D]
    if in_7d > 0:
        out[TERMINAL_RISK_7D] = in_7d / out[TERMINAL_COUNT_7D]
    if in_1d > 0:
        out[TERMINAL_RISK_1D] = in_1d / out[TERMINAL_COUNT_1D]


@compiled
def _is_found(terminals: Arena, slot: int, end: int, labels: Arena, row: int) -> bool:
    """Say whether the transaction of a label is at the terminal, among its first `end` entries.

    One that was found once stays as long as any window reaches it.
    """
    if labels.entries[row, IS_FOUND] == 0:
        at_us, tag = labels.times[row], labels.entries[row, TAG]
        start = terminals.slots[slot, START]
        index = _place_of(terminals, start, end, at_us, tag)
        if _is_at(terminals, start + index, start + end, at_us, tag):
            labels.entries[row, IS_FOUND] = 1
    return labels.entries[row, IS_FOUND] == 1


@compiled
def _fill_run(
    terminals: Arena, slot: int, begin: int, end: int,
    labels: Arena, labelled: int, time_us: int, out: Floats,
) -> None:  # fmt: skip
    """Walk back over known frauds to the last transaction that is known as genuine.

    Frauds of a high amount, the mark of a stolen card rather than of a bad terminal, neither
    lengthen the run nor end it.
    """
    times, entries, start = terminals.times, terminals.entries, terminals.slots[slot, START]
    ratios = entries.view(np.float64)
    run, plain, since_us, min_ratio, row = 0, 0, time_us, NO_RUN_MIN_RATIO, start + end - 1
    while row >= start + begin and is_fraud_at(
        labels, labelled, times[row], entries[row, TAG], time_us
    ):
        if ratios[row, RATIO] <= HIGH_RATIO:
            run += 1
            plain += entries[row, HIGH_COUNT] == 0
            since_us = times[row]
            min_ratio = min(min_ratio, ratios[row, RATIO])
        row -= 1
    if run == 0:
        return
    genuine_us = times[row] if row >= start + begin else time_us - REACH_US
    out[TERMINAL_RUN] = run
    out[TERMINAL_RUN_PLAIN] = plain
    out[TERMINAL_RUN_AGE_DAYS] = (time_us - since_us) / DAY_US
    out[TERMINAL_RUN_MIN_RATIO] = min_ratio
    out[TERMINAL_DAYS_SINCE_GENUINE] = (time_us - genuine_us) / DAY_US


@compiled
def _place_of(terminals: Arena, start: int, length: int, time_us: int, tag: int) -> int:
    """Count the entries before (time, tag) in that order."""
    index = count_until(terminals.times, start, length, time_us)
    while index > 0:
        row = start + index - 1
        if terminals.times[row] != time_us or terminals.entries[row, TAG] < tag:
            break
        index -= 1
    return index


@compiled
def _is_at(terminals: Arena, row: int, end: int, time_us: int, tag: int) -> bool:
    return bool(
        row < end and terminals.times[row] == time_us and terminals.entries[row, TAG] == tag
    )
