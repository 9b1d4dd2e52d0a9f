"""One micro-batch is scored: decoded messages of several partitions in, decisions out. No I/O."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Generic

import numpy as np

from flagpost.core.decision import Decisions
from flagpost.core.history import Int64s
from flagpost.core.observed import Observed
from flagpost.core.piece import M, Piece, joined
from flagpost.core.pipeline import (
    Run,
    ScoringRules,
    decide_transactions,
    observe_transactions,
)
from flagpost.core.redelivery import Recall
from flagpost.core.segment import LabelEntries
from flagpost.core.state import State
from flagpost.events import Transactions
from flagpost.label_events import Labels


@dataclass(frozen=True, slots=True)
class ScoredBatch(Generic[M]):
    """What was found in the pieces, of which each partition has at most one.

    `runs[k]` are the rows of `scored[k]` among all transactions, those before `ends[k]`.
    """

    scored: Sequence[Piece[M]]
    runs: Sequence[Run]
    ends: Int64s
    transactions: Transactions
    observed: Observed
    decisions: Decisions


def learn_labels(pieces: Sequence[Piece[M]], state: State) -> None:
    """Add the labels of a batch to the state, before its transactions are scored."""
    times = [int(piece.stream_time_us[0]) for piece in pieces if piece.stream_time_us.size]
    for piece in pieces:
        if isinstance(piece.rows, Labels) and piece.rows.is_fraud.size:
            state.learn(label_entries(piece.rows), min(times))


def score_transactions(
    pieces: Sequence[Piece[M]], state: State, rules: ScoringRules, recall: Recall
) -> ScoredBatch[M] | None:
    """Observe, score and decide; None if the pieces hold no transactions at all.

    Only the state is changed, which must hold the partitions; `recall` reads the journal.
    """
    scored = [piece for piece in pieces if isinstance(piece.rows, Transactions)]
    parts = [piece.rows for piece in scored if isinstance(piece.rows, Transactions)]
    if not parts:
        return None
    transactions = joined(parts)
    ends = list(accumulate(piece.stream_time_us.size for piece in scored))
    runs = [
        Run(piece.partition, slice(end - piece.stream_time_us.size, end), piece.stream_time_us)
        for piece, end in zip(scored, ends, strict=True)
    ]
    observed = observe_transactions(transactions, runs, state, recall, rules.population_mean_cents)
    decisions = decide_transactions(transactions, observed, rules)
    return ScoredBatch(scored, runs, np.array(ends), transactions, observed, decisions)


def label_entries(labels: Labels) -> LabelEntries:
    """Return what the state keeps of labels."""
    return LabelEntries(
        terminal_key=labels.terminal_key,
        event_time_us=labels.event_time_us,
        transaction_key=labels.transaction_key,
        known_at_us=labels.known_at_us,
        is_fraud=labels.is_fraud.astype(np.int64),
    )
