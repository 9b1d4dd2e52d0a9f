"""What a worker does once before its first message, so that the first batch is not the slowest."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from flagpost.compiled import are_compiled
from flagpost.core.decoding import MessageDecoder
from flagpost.core.effects import Position
from flagpost.core.micro_batch import learn_labels, score_transactions
from flagpost.core.outcome import effects_of
from flagpost.core.pipeline import ScoringRules
from flagpost.core.segment import merge
from flagpost.core.state import State
from flagpost.events import Partition, TransactionDecoder

SWITCH_SECONDS = 0.0005
"""How long a thread that wants the interpreter lets another one go on; the default is ten times as
long, and three threads that work on a batch each wait for it again and again."""

GC_THRESHOLD_ALLOCATIONS = 200_000
"""Decoded messages are many, short-lived and free of cycles: looking through them is waste."""

log = structlog.get_logger()


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
    if not are_compiled():
        log.info("compiling, once for these sources", about_seconds=10)
    transaction = b'{"transaction_id":"a","timestamp":"2026-01-01","user_id":"b","amount":9}'
    label = b'{"transaction_id":"a","timestamp":0,"terminal_id":"c","is_fraud":true,"known_at":1}'
    chunks = [
        _MadeUpMessages(Partition("transactions", 0), [transaction, transaction]),
        _MadeUpMessages(Partition("labels", 0), [label]),
    ]
    positions = {chunk.partition: Position(1, 0, None) for chunk in chunks}
    decoder, state = MessageDecoder(TransactionDecoder(), "labels"), State()
    with _without_linear_algebra():
        pieces = decoder.decode(chunks, lambda _: None, 2**62)
    learn_labels(pieces, state)
    batch = score_transactions(pieces, state, rules, lambda *_: ())
    for segment in effects_of(pieces, batch, positions, rules).segments:
        state.fold(segment)
        merge(segment.columns)
    for chunk in chunks:
        state.forget_idle(chunk.partition, 0)
        state.forget(chunk.partition)


@contextmanager
def _without_linear_algebra() -> Iterator[None]:
    """Hide scipy's from numba, which imports it with its first kernel: some multiply matrices.

    None of ours does, and it takes a quarter of a second and 15 MB of a member that starts.
    """
    name = "scipy.linalg"
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]  # so an import of it fails
    try:
        yield
    finally:
        del sys.modules[name]


def calm_garbage_collector() -> None:
    """Keep what is loaded by now out of every collection, and collect seldom.

    What loading has left over stays, half a megabyte: to look for it would take as long as to join
    a group.
    """
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD_ALLOCATIONS, 20, 20)
    gc.enable()


def share_interpreter() -> None:
    """Let threads take turns more often than is usual."""
    sys.setswitchinterval(SWITCH_SECONDS)
