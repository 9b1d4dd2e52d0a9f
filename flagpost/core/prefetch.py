"""Asking for memory before it is needed, so that the waits for many places overlap.

The histories are larger than the processor's caches, and a transaction touches some thirty places
of them. Who needs them one after the other waits for each; here they are asked for some
transactions ahead. It changes how long a kernel takes and nothing else.
"""

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from flagpost.compiled import compiled
from flagpost.core.history import ABSENT, LENGTH, START, Arena, Int64s, slot_of

AHEAD = 16
"""Of so many transactions at a time the histories are asked for before they are looked at."""

ROWS_A_LINE = 8
"""Times that fit into a line of the cache."""

NEWEST_ROWS = 256
"""So many entries of a run are asked for: all of nearly every customer and terminal."""


def _typed(_: Any, array: Any, row: Any) -> Any:  # noqa: ANN401 - numba's own types of types
    """Tell numba what `_prefetch` takes, and what it becomes."""
    return types.void(array, row), _emit


def _emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ANN401
    """Write the instruction for the first bytes of `array[row]`."""
    view = make_array(signature.args[0])(context, builder, arguments[0])
    [stride, *_] = cgutils.unpack_tuple(builder, view.strides)
    start = builder.ptrtoint(view.data, stride.type)
    byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
    instruction = cgutils.get_or_insert_function(
        builder.module,
        ir.FunctionType(ir.VoidType(), [byte, number, number, number]),
        "llvm.prefetch.p0",
    )
    address = builder.inttoptr(builder.add(start, builder.mul(arguments[1], stride)), byte)
    to_read, into_all_caches, data = number(0), number(3), number(1)
    builder.call(instruction, [address, to_read, into_all_caches, data])
    return context.get_dummy_value()


_prefetch: Any = intrinsic(_typed)
"""`_prefetch(array, row)` asks for the first bytes of a row; the row need not exist."""


@compiled
def prefetch_place(arena: Arena, key: int) -> None:
    """Ask for where the table says which slot a key has."""
    _prefetch(arena.table, key & (arena.table.size - 1))


@compiled
def prefetch_slot(arena: Arena, key: int) -> None:
    """Ask for the slot of a key, whose place in the table should be there by now."""
    _prefetch(arena.slots, arena.table[key & (arena.table.size - 1)])


@compiled
def prefetch_run(arena: Arena, key: int) -> None:
    """Ask for the times of a key's run and its last entry; the slot should be there by now."""
    slot = slot_of(arena, key)
    if slot == ABSENT:
        return
    start, length = arena.slots[slot, START], arena.slots[slot, LENGTH]
    end = start + length
    for row in range(max(start, end - NEWEST_ROWS), end, ROWS_A_LINE):
        _prefetch(arena.times, row)
    _prefetch_end(arena, end)


@compiled
def prefetch_ends(arena: Arena, keys: Int64s) -> None:
    """Ask for where the next entries of some keys are going to stand: at the ends of their runs."""
    for key in keys:
        prefetch_place(arena, key)
    for key in keys:
        prefetch_slot(arena, key)
    for key in keys:
        slot = slot_of(arena, key)
        if slot != ABSENT:
            end = arena.slots[slot, START] + arena.slots[slot, LENGTH]
            _prefetch(arena.times, end - 1)
            _prefetch_end(arena, end)


@compiled
def _prefetch_end(arena: Arena, end: int) -> None:
    """Ask for the row behind a run, where its next entry is going to stand, and the next one."""
    _prefetch(arena.times, end)
    _prefetch(arena.entries, end)
    _prefetch(arena.entries, end + 1)
