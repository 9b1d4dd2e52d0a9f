"""Each key's recent past, sorted by time: any window is two searches away.

The entries of one key lie in one run of rows of a shared arena, oldest first. A row has a time and

    tag, payload_0, payload_1, ...

where `tag` identifies the event. The times lie apart, close together for the searches. A payload
may be a running sum over all *earlier* entries of the key; one row behind the last entry holds the
sums over all. So the sum over entries [i, j) is the difference of the sums in rows j and i: exact,
since all is integer. Runs have 8, 16, 32, ... rows; a full run first drops what is older than the
horizon and else moves to one twice its size; a run left behind is used again.

The functions marked `@compiled` are called from the kernels in `customers`, `terminals` and
`labels`. None of them allocates: one that needs a larger arena says so (NO_ROOM) and leaves
everything as it was, its caller grows the arena in Python and calls again.
"""

import math
import mmap
import sys
from contextlib import suppress
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flagpost.compiled import compiled

Int64s = NDArray[np.int64]

TAG, PAYLOAD = 0, 1
"""Columns of a row of entries."""

KEY, OWNER, START, LENGTH, SIZE, TOUCHED_US, SLOT_WIDTH = 0, 1, 2, 3, 4, 5, 8
"""Columns of a slot; its row fills a line of the processor's cache.

The partition that the key came from; the first row of its run, how many entries are in it, and
that it has 8 * 2**SIZE rows; the partition's event time when the last entry came.
"""

NO_ROOM = -1
ABSENT = -1
SMALLEST_RUN_ROWS = 8
RUN_SIZES = 40

SLOTS_USED, ROWS_USED, SLOTS_FREE, IS_FULL = 0, 1, 2, 3
"""Places in `Arena.counters`."""


class Arena(NamedTuple):
    """The arrays behind a history; `slots` and `rows` are capacities.

    `table` maps a key to its slot by open addressing (keys are hashes already). `free_runs[c]`
    heads a list of unused runs of 8 * 2**c rows, linked through their first cell; `free_slots` is a
    stack of slots whose LENGTH is ABSENT.
    """

    slots: Int64s  # (slots, SLOT_WIDTH)
    times: Int64s  # (rows,) microseconds since 1970
    entries: Int64s  # (rows, 1 + payload)
    table: Int64s  # (a power of two >= 2 * slots,) slot, or ABSENT
    free_runs: Int64s  # (RUN_SIZES,)
    free_slots: Int64s  # (slots,)
    counters: Int64s  # (4,)


def new_arena(payload: int, slots: int = 131_072, rows: int = 2_097_152) -> Arena:
    """Make an empty arena whose entries carry so many numbers besides time and tag.

    Slots and rows are many, for they take address space alone until they are filled, and an arena
    that grows is copied into memory that the system has to provide first: that took a third of a
    microsecond for each of the first million transactions, and payments waited for it.
    """
    return Arena(
        slots=_room(slots, SLOT_WIDTH),
        times=_room(rows),
        entries=_room(rows, PAYLOAD + payload),
        table=np.full(2 * slots, ABSENT, np.int64),
        free_runs=np.full(RUN_SIZES, ABSENT, np.int64),
        free_slots=_room(slots),
        counters=np.zeros(4, np.int64),
    )


def grown(arena: Arena) -> Arena:
    """Return the same history with more room, if a function has found it full.

    Twice the slots if none is left, else twice the rows.
    """
    if not arena.counters[IS_FULL]:
        return arena
    arena.counters[IS_FULL] = 0
    if arena.counters[SLOTS_USED] < arena.slots.shape[0] or arena.counters[SLOTS_FREE] > 0:
        return arena._replace(times=_doubled(arena.times), entries=_doubled(arena.entries))
    wider = arena._replace(
        slots=_doubled(arena.slots),
        table=_doubled(arena.table),
        free_slots=_doubled(arena.free_slots),
    )
    index_slots(wider)
    return wider


def used_bytes(arena: Arena) -> int:
    """Return the memory that an arena has filled so far; rows that never were take none."""
    slots, rows = int(arena.counters[SLOTS_USED]), int(arena.counters[ROWS_USED])
    return sum(
        array.nbytes
        for array in (arena.slots[:slots], arena.table, arena.times[:rows], arena.entries[:rows])
    )


def _room(*shape: int) -> Int64s:
    """Return zeros in memory that the system provides as it is filled, a small page at a time.

    A large page, which numpy would ask for, is a pause of 5 ms where a virtual machine has to get
    it from its host first.
    """
    memory = mmap.mmap(-1, 8 * math.prod(shape), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if sys.platform == "linux":
        with suppress(OSError):  # a kernel without large pages refuses
            memory.madvise(mmap.MADV_NOHUGEPAGE)
    return np.frombuffer(memory, np.int64).reshape(shape)


def _doubled(array: Int64s) -> Int64s:
    """Return a copy with a new half that is not filled: it takes no memory before it is used."""
    doubled = _room(2 * len(array), *array.shape[1:])
    doubled[: len(array)] = array
    return doubled


@compiled
def index_slots(arena: Arena) -> None:
    """Rebuild the table from the slots in use."""
    arena.table[:] = ABSENT
    for slot in range(arena.counters[SLOTS_USED]):
        if arena.slots[slot, LENGTH] != ABSENT:
            _enter(arena, slot)


@compiled
def _enter(arena: Arena, slot: int) -> None:
    mask = arena.table.size - 1
    place = arena.slots[slot, KEY] & mask
    while arena.table[place] != ABSENT:
        place = (place + 1) & mask
    arena.table[place] = slot


@compiled
def slot_of(arena: Arena, key: int) -> int:
    """Return the key's slot, or ABSENT."""
    mask = arena.table.size - 1
    place = key & mask
    while True:
        slot = arena.table[place]
        if slot == ABSENT or arena.slots[slot, KEY] == key:
            return slot
        place = (place + 1) & mask


@compiled
def open_slot(arena: Arena, key: int, owner: int) -> int:
    """Give an unknown key an empty run; return its slot, or NO_ROOM."""
    recycled = arena.counters[SLOTS_FREE] > 0
    if not recycled and arena.counters[SLOTS_USED] == arena.slots.shape[0]:
        arena.counters[IS_FULL] = 1
        return NO_ROOM
    start = _take_run(arena, 0)
    if start == NO_ROOM:
        return NO_ROOM
    if recycled:
        arena.counters[SLOTS_FREE] -= 1
        slot = arena.free_slots[arena.counters[SLOTS_FREE]]
    else:
        slot = arena.counters[SLOTS_USED]
        arena.counters[SLOTS_USED] += 1
    arena.slots[slot, KEY] = key
    arena.slots[slot, OWNER] = owner
    arena.slots[slot, TOUCHED_US] = 0
    arena.slots[slot, START] = start
    arena.slots[slot, SIZE] = 0
    forget_entries(arena, slot)
    _enter(arena, slot)
    return slot


@compiled
def forget_entries(arena: Arena, slot: int) -> None:
    """Make a slot's history empty."""
    arena.slots[slot, LENGTH] = 0
    arena.entries[arena.slots[slot, START], PAYLOAD:] = 0


@compiled
def _take_run(arena: Arena, size: int) -> int:
    start = arena.free_runs[size]
    if start != ABSENT:
        arena.free_runs[size] = arena.entries[start, 0]
        return start
    start = arena.counters[ROWS_USED]
    rows = SMALLEST_RUN_ROWS << size
    if start + rows > arena.entries.shape[0]:
        arena.counters[IS_FULL] = 1
        return NO_ROOM
    arena.counters[ROWS_USED] += rows
    return start


@compiled
def _leave_run(arena: Arena, start: int, size: int) -> None:
    arena.entries[start, 0] = arena.free_runs[size]
    arena.free_runs[size] = start


@compiled
def count_until(times: Int64s, start: int, length: int, time_us: int) -> int:
    """Count the entries at or before a time among the first `length` ones of a run."""
    if length == 0 or times[start + length - 1] <= time_us:
        return length
    low, high = 0, length - 1
    while low < high:
        middle = (low + high) >> 1
        if times[start + middle] <= time_us:
            low = middle + 1
        else:
            high = middle
    return low


@compiled
def latest_us(times: Int64s, start: int, length: int) -> int:
    """Return the time of a run's last entry; before 1970 when there is none."""
    return times[start + length - 1] if length > 0 else -1


@compiled
def holds(times: Int64s, entries: Int64s, start: int, length: int, time_us: int, tag: int) -> bool:
    """Say whether one of the first `length` entries of a run has this time and this tag."""
    row = start + length - 1
    while row >= start and times[row] == time_us:
        if entries[row, TAG] == tag:
            return True
        row -= 1
    return False


@compiled
def make_room(arena: Arena, slot: int, horizon_us: int) -> int:
    """Make sure that one more entry fits; return how many were dropped, or NO_ROOM.

    Entries at or before the horizon may be dropped. They are only when the run is full, so
    nothing that is read from the history may depend on whether they are still there.
    """
    start, length, size = (
        arena.slots[slot, START],
        arena.slots[slot, LENGTH],
        arena.slots[slot, SIZE],
    )
    if length + 1 < SMALLEST_RUN_ROWS << size:
        return 0
    dropped = count_until(arena.times, start, length, horizon_us)
    if 4 * dropped >= length:
        _copy_rows(arena, start + dropped, start, length - dropped + 1)
        arena.slots[slot, LENGTH] -= dropped
        return dropped
    moved = _take_run(arena, size + 1)
    if moved == NO_ROOM:
        return NO_ROOM
    _copy_rows(arena, start, moved, length + 1)
    _leave_run(arena, start, size)
    arena.slots[slot, START] = moved
    arena.slots[slot, SIZE] = size + 1
    return 0


@compiled
def _copy_rows(arena: Arena, source: int, target: int, n: int) -> None:
    """Copy rows one by one, the first one first: the target may overlap what lies before it."""
    for row in range(n):
        _copy_row(arena, source + row, target + row)


@compiled
def _copy_row(arena: Arena, source: int, target: int) -> None:
    arena.times[target] = arena.times[source]
    for column in range(arena.entries.shape[1]):
        arena.entries[target, column] = arena.entries[source, column]


@compiled
def insert(arena: Arena, slot: int, index: int, time_us: int, tag: int) -> int:
    """Open a row before the entry at `index` and return its place; there must be room for it.

    The entries from there on move by one row. The payload of the new row is that of the entry it
    stands before, which is what running sums want.
    """
    place = arena.slots[slot, START] + index
    for row in range(arena.slots[slot, START] + arena.slots[slot, LENGTH], place - 1, -1):
        _copy_row(arena, row, row + 1)
    arena.times[place] = time_us
    arena.entries[place, TAG] = tag
    arena.slots[slot, LENGTH] += 1
    return place


@compiled
def forget_owner(arena: Arena, owner: int) -> None:
    """Drop every key of an owner."""
    for slot in range(arena.counters[SLOTS_USED]):
        if arena.slots[slot, LENGTH] != ABSENT and arena.slots[slot, OWNER] == owner:
            _close_slot(arena, slot)
    index_slots(arena)


@compiled
def forget_idle(arena: Arena, owner: int, horizon_us: int) -> None:
    """Drop every key of an owner that got its last entry at or before the horizon."""
    n_free = arena.counters[SLOTS_FREE]
    for slot in range(arena.counters[SLOTS_USED]):
        is_open = arena.slots[slot, LENGTH] != ABSENT and arena.slots[slot, OWNER] == owner
        if is_open and arena.slots[slot, TOUCHED_US] <= horizon_us:
            _close_slot(arena, slot)
    if arena.counters[SLOTS_FREE] > n_free:
        index_slots(arena)


@compiled
def _close_slot(arena: Arena, slot: int) -> None:
    _leave_run(arena, arena.slots[slot, START], arena.slots[slot, SIZE])
    arena.slots[slot, LENGTH] = ABSENT
    arena.free_slots[arena.counters[SLOTS_FREE]] = slot
    arena.counters[SLOTS_FREE] += 1
