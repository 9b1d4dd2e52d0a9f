"""Each key's recent past, sorted by time, with running sums: any window is two searches away.

The entries of one key lie in one run of rows of a shared arena, oldest first. A row holds

    time_us, tag, sum_0, sum_1, ...

where `tag` identifies the event and `sum_k` is the running sum over all *earlier* entries of the
key; one row behind the last entry holds the sums over all. The sum over entries [i, j) is then the
difference of the sums in rows j and i: exact, since all is integer. Runs have 8, 16, 32, ... rows;
a full run first drops what is older than the horizon and else moves to one twice its size; a run
left behind is used again.

The functions marked `@compiled_in_place` are called from the kernels in `features` and `state`.
None of them allocates: one that needs a larger arena says so (NO_ROOM) and leaves everything as it
was, its caller grows the arena in Python and calls again.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flagpost.compiled import compiled_in_place

Int64s = NDArray[np.int64]

TIME, TAG, SUMS = 0, 1, 2
"""Columns of a row of entries."""

NO_ROOM = -1
ABSENT = -1
SMALLEST_RUN_ROWS = 8
RUN_SIZES = 40

SLOTS_USED, ROWS_USED, SLOTS_FREE = 0, 1, 2
"""Places in `Arena.counters`."""


class Arena(NamedTuple):
    """The arrays behind a history; `slots` and `rows` are capacities.

    `owners` tags each key with the partition that it came from. `table` maps a key to its slot by
    open addressing (keys are hashes already). `free_runs[c]` heads a list of unused runs of
    8 * 2**c rows, linked through their first cell; `free_slots` is a stack.
    """

    keys: Int64s  # (slots,)
    owners: Int64s  # (slots,)
    starts: Int64s  # (slots,) first row of the run
    lengths: Int64s  # (slots,) entries; ABSENT marks a slot that is free
    run_sizes: Int64s  # (slots,) the run has 8 * 2**size rows
    touched_us: Int64s  # (slots,) the partition's event time when the last entry came
    entries: Int64s  # (rows, 2 + sums)
    table: Int64s  # (a power of two >= 2 * slots,) slot, or ABSENT
    free_runs: Int64s  # (RUN_SIZES,)
    free_slots: Int64s  # (slots,)
    counters: Int64s  # (3,)


def new_arena(sums: int, slots: int = 1024, rows: int = 16_384) -> Arena:
    """Make an empty arena whose entries carry the given number of running sums."""
    return Arena(
        keys=np.zeros(slots, np.int64),
        owners=np.zeros(slots, np.int64),
        starts=np.zeros(slots, np.int64),
        lengths=np.full(slots, ABSENT, np.int64),
        run_sizes=np.zeros(slots, np.int64),
        touched_us=np.zeros(slots, np.int64),
        entries=np.empty((rows, SUMS + sums), np.int64),
        table=np.full(2 * slots, ABSENT, np.int64),
        free_runs=np.full(RUN_SIZES, ABSENT, np.int64),
        free_slots=np.zeros(slots, np.int64),
        counters=np.zeros(3, np.int64),
    )


def grown(arena: Arena) -> Arena:
    """Return the same history with twice the slots if none is left, else with twice the rows."""
    full = arena.counters[SLOTS_USED] == arena.keys.size and arena.counters[SLOTS_FREE] == 0
    if not full:
        return arena._replace(entries=_doubled(arena.entries))
    wider = arena._replace(
        keys=_doubled(arena.keys),
        owners=_doubled(arena.owners),
        starts=_doubled(arena.starts),
        lengths=_doubled(arena.lengths),
        run_sizes=_doubled(arena.run_sizes),
        touched_us=_doubled(arena.touched_us),
        table=_doubled(arena.table),
        free_slots=_doubled(arena.free_slots),
    )
    index_slots(wider)
    return wider


def _doubled(array: Int64s) -> Int64s:
    """Return a copy with ABSENT in the new half; that of the entries is left to be filled."""
    doubled = np.empty((2 * len(array), *array.shape[1:]), np.int64)
    doubled[: len(array)] = array
    if array.ndim == 1:
        doubled[len(array) :] = ABSENT
    return doubled


@compiled_in_place
def index_slots(arena: Arena) -> None:
    """Rebuild the table from the slots in use."""
    arena.table[:] = ABSENT
    for slot in range(arena.counters[SLOTS_USED]):
        if arena.lengths[slot] != ABSENT:
            _enter(arena, slot)


@compiled_in_place
def _enter(arena: Arena, slot: int) -> None:
    mask = arena.table.size - 1
    place = arena.keys[slot] & mask
    while arena.table[place] != ABSENT:
        place = (place + 1) & mask
    arena.table[place] = slot


@compiled_in_place
def slot_of(arena: Arena, key: int) -> int:
    """Return the key's slot, or ABSENT."""
    mask = arena.table.size - 1
    place = key & mask
    while True:
        slot = arena.table[place]
        if slot == ABSENT or arena.keys[slot] == key:
            return slot
        place = (place + 1) & mask


@compiled_in_place
def open_slot(arena: Arena, key: int, owner: int) -> int:
    """Give an unknown key an empty run; return its slot, or NO_ROOM."""
    recycled = arena.counters[SLOTS_FREE] > 0
    if not recycled and arena.counters[SLOTS_USED] == arena.keys.size:
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
    arena.keys[slot] = key
    arena.owners[slot] = owner
    arena.starts[slot] = start
    arena.run_sizes[slot] = 0
    forget_entries(arena, slot)
    _enter(arena, slot)
    return slot


@compiled_in_place
def forget_entries(arena: Arena, slot: int) -> None:
    """Make a slot's history empty."""
    arena.lengths[slot] = 0
    arena.entries[arena.starts[slot], SUMS:] = 0


@compiled_in_place
def _take_run(arena: Arena, size: int) -> int:
    start = arena.free_runs[size]
    if start != ABSENT:
        arena.free_runs[size] = arena.entries[start, 0]
        return start
    start = arena.counters[ROWS_USED]
    rows = SMALLEST_RUN_ROWS << size
    if start + rows > arena.entries.shape[0]:
        return NO_ROOM
    arena.counters[ROWS_USED] += rows
    return start


@compiled_in_place
def _leave_run(arena: Arena, start: int, size: int) -> None:
    arena.entries[start, 0] = arena.free_runs[size]
    arena.free_runs[size] = start


@compiled_in_place
def count_until(entries: Int64s, start: int, length: int, time_us: int) -> int:
    """Count the entries at or before a time among the first `length` ones of a run."""
    if length == 0 or entries[start + length - 1, TIME] <= time_us:
        return length
    low, high = 0, length - 1
    while low < high:
        middle = (low + high) >> 1
        if entries[start + middle, TIME] <= time_us:
            low = middle + 1
        else:
            high = middle
    return low


@compiled_in_place
def latest_us(entries: Int64s, start: int, length: int) -> int:
    """Return the time of a run's last entry; before 1970 when there is none."""
    return entries[start + length - 1, TIME] if length > 0 else -1


@compiled_in_place
def holds(entries: Int64s, start: int, length: int, time_us: int, tag: int) -> bool:
    """Say whether one of the first `length` entries of a run has this time and this tag."""
    row = start + length - 1
    while row >= start and entries[row, TIME] == time_us:
        if entries[row, TAG] == tag:
            return True
        row -= 1
    return False


@compiled_in_place
def make_room(arena: Arena, slot: int, horizon_us: int) -> int:
    """Make sure that one more entry fits; return how many were dropped, or NO_ROOM.

    Entries at or before the horizon may be dropped. They are only when the run is full, so
    nothing that is read from the history may depend on whether they are still there.
    """
    start, length, size = arena.starts[slot], arena.lengths[slot], arena.run_sizes[slot]
    if length + 1 < SMALLEST_RUN_ROWS << size:
        return 0
    dropped = count_until(arena.entries, start, length, horizon_us)
    if 4 * dropped >= length:
        for row in range(start, start + length - dropped + 1):
            _copy_entry(arena.entries, row + dropped, row)
        arena.lengths[slot] -= dropped
        return dropped
    moved = _take_run(arena, size + 1)
    if moved == NO_ROOM:
        return NO_ROOM
    for row in range(length + 1):
        _copy_entry(arena.entries, start + row, moved + row)
    _leave_run(arena, start, size)
    arena.starts[slot] = moved
    arena.run_sizes[slot] = size + 1
    return 0


@compiled_in_place
def _copy_entry(entries: Int64s, source: int, target: int) -> None:
    for column in range(entries.shape[1]):
        entries[target, column] = entries[source, column]


@compiled_in_place
def insert(
    arena: Arena, slot: int, index: int, time_us: int, tag: int, increments: tuple[int, ...]
) -> None:
    """Insert an entry before the one at `index`; there must be room for it.

    A late event moves the entries after it by one row and adds to their running sums.
    """
    place = arena.starts[slot] + index
    for row in range(arena.starts[slot] + arena.lengths[slot], place - 1, -1):
        arena.entries[row + 1, TIME] = arena.entries[row, TIME]
        arena.entries[row + 1, TAG] = arena.entries[row, TAG]
        for which in range(len(increments)):
            arena.entries[row + 1, SUMS + which] = (
                arena.entries[row, SUMS + which] + increments[which]
            )
    arena.entries[place, TIME] = time_us
    arena.entries[place, TAG] = tag
    arena.lengths[slot] += 1


@compiled_in_place
def forget_owner(arena: Arena, owner: int) -> None:
    """Drop every key of an owner."""
    for slot in range(arena.counters[SLOTS_USED]):
        if arena.lengths[slot] != ABSENT and arena.owners[slot] == owner:
            _close_slot(arena, slot)
    index_slots(arena)


@compiled_in_place
def forget_idle(arena: Arena, owner: int, horizon_us: int) -> None:
    """Drop every key of an owner that got its last entry at or before the horizon."""
    for slot in range(arena.counters[SLOTS_USED]):
        is_open = arena.lengths[slot] != ABSENT and arena.owners[slot] == owner
        if is_open and arena.touched_us[slot] <= horizon_us:
            _close_slot(arena, slot)
    index_slots(arena)


@compiled_in_place
def _close_slot(arena: Arena, slot: int) -> None:
    _leave_run(arena, arena.starts[slot], arena.run_sizes[slot])
    arena.lengths[slot] = ABSENT
    arena.free_slots[arena.counters[SLOTS_FREE]] = slot
    arena.counters[SLOTS_FREE] += 1
