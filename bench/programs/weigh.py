"""Weighs the state of made-up transactions: all of it, and that of the customers alone.

Example: python -m bench.programs.weigh 1000000
"""

from collections.abc import Iterable

import msgspec
import numpy as np
import typer

from bench.segments import make_segments
from bench.state import Weight
from flagpost.core.effects import Segment
from flagpost.core.observe import NO_TERMINAL
from flagpost.core.segment import Entries, pack, unpack
from flagpost.core.state import State


def main(n_events: int) -> None:
    """Print the bytes, and what they are of, as JSON."""
    segments = list(make_segments(n_events))
    keys = [(each.user_key, each.terminal_key) for each in map(_entries, segments)]
    users, terminals = map(np.concatenate, zip(*keys, strict=True))
    weight = Weight(
        events=users.size,
        customers=np.unique(users).size,
        terminals=np.unique(terminals).size,
        empty_bytes=_weigh([]),
        customers_bytes=_weigh(map(_without_terminals, segments)),
        all_bytes=_weigh(segments),
    )
    typer.echo(msgspec.json.encode(weight).decode())


def _weigh(segments: Iterable[Segment]) -> int:
    state = State()
    for segment in segments:
        state.fold(segment)
    return state.n_bytes


def _without_terminals(segment: Segment) -> Segment:
    entries = _entries(segment)
    nowhere = np.full_like(entries.terminal_key, NO_TERMINAL)
    return Segment(
        segment.partition,
        segment.start_offset,
        segment.end_offset,
        segment.min_event_time_us,
        segment.max_event_time_us,
        pack(entries._replace(terminal_key=nowhere)),
    )


def _entries(segment: Segment) -> Entries:
    entries = unpack(segment.columns)
    assert isinstance(entries, Entries)
    return entries


if __name__ == "__main__":
    typer.run(main)
