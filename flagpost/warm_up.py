"""What a worker does once before its first message, so that the first batch is not the slowest."""

import gc
from dataclasses import dataclass

from flagpost.core.effects import Position
from flagpost.core.micro_batch import effects_of, score_micro_batch
from flagpost.core.pipeline import ScoringRules
from flagpost.core.state import State
from flagpost.events import Partition, TransactionDecoder

GC_THRESHOLD_ALLOCATIONS = 200_000
"""Decoded messages are many, short-lived and free of cycles: looking through them is waste."""


@dataclass(frozen=True, slots=True)
class _MadeUpMessages:
    partition: Partition
    values: list[bytes]

    @property
    def next_offset(self) -> int:
        return len(self.values)

    def offset(self, index: int) -> int:
        return index


def load_kernels(rules: ScoringRules) -> None:
    """Run every compiled function once, on made-up messages and a state of their own.

    Takes ten seconds or so after a change of the sources, else a fraction of one.
    """
    message = (
        b'{"transaction_id": 1, "timestamp": 0, "user_id": 1, "amount": 9, "account_balance": 1}'
    )
    chunk = _MadeUpMessages(Partition("warm-up", 0), [message, message])
    state = State()
    positions = {chunk.partition: Position(1, 0, None)}
    batch = score_micro_batch(
        [chunk], TransactionDecoder(), state, rules, positions, lambda *_: (), 1
    )
    effects = effects_of(batch, positions, rules)
    for segment in effects.segments:
        state.fold(segment)
    state.forget_idle(chunk.partition, 0)
    state.forget(chunk.partition)


def calm_garbage_collector() -> None:
    """Keep what is loaded by now out of every collection, and collect seldom."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD_ALLOCATIONS, 20, 20)
