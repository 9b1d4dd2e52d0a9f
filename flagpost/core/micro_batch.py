"""One micro-batch: decoded messages of several partitions in, all their effects out. No I/O."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Generic

import numpy as np
from numpy.typing import NDArray

from flagpost.core.calendar import EPOCH, HOUR_US
from flagpost.core.decision import Decisions, Reason, explain, risk_level
from flagpost.core.effects import (
    Advance,
    Counts,
    Effects,
    FlaggedTransaction,
    KeptScore,
    Label,
    LabelIdentity,
    Position,
    Segment,
    SpreadCounts,
)
from flagpost.core.features import AMOUNT_RATIO, FEATURE_NAMES, HIGH_COUNT_14D
from flagpost.core.observed import Observed
from flagpost.core.piece import M, Piece, joined
from flagpost.core.pipeline import (
    Run,
    ScoringRules,
    decide_transactions,
    observe_transactions,
)
from flagpost.core.redelivery import Recall
from flagpost.core.segment import Entries, LabelEntries, pack
from flagpost.core.spread import each_day
from flagpost.core.state import State
from flagpost.events import Partition, Transactions
from flagpost.label_events import Labels

Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class ScoredBatch(Generic[M]):
    """What was found in the pieces, of which each partition has at most one.

    `runs[k]` are the rows of `scored[k]` among all transactions.
    """

    scored: Sequence[Piece[M]]
    runs: Sequence[Run]
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
    return ScoredBatch(scored, runs, transactions, observed, decisions)


def label_entries(labels: Labels) -> LabelEntries:
    """Return what the state keeps of labels."""
    return LabelEntries(
        terminal_key=labels.terminal_key,
        event_time_us=labels.event_time_us,
        transaction_key=labels.transaction_key,
        known_at_us=labels.known_at_us,
        is_fraud=labels.is_fraud.astype(np.int64),
    )


def label_identities(labels: Labels) -> list[LabelIdentity]:
    """Return what tells each label from others."""
    return list(
        zip(
            labels.transaction_id,
            labels.known_at_us.tolist(),
            labels.is_fraud.tolist(),
            strict=True,
        )
    )


def effects_of(
    pieces: Sequence[Piece[M]],
    batch: ScoredBatch[M] | None,
    positions: Mapping[Partition, Position],
    known_labels: Collection[LabelIdentity],
    rules: ScoringRules,
) -> Effects:
    """Turn pieces and their scores into all that has to be committed, from the positions on.

    Labels that are known already count as duplicates.
    """
    effects = Effects(advances=[])
    if batch is not None:
        effects.flagged.extend(_flagged(batch, rules))
        for piece, run in zip(batch.scored, batch.runs, strict=True):
            _add_transactions(effects, batch, piece, positions[piece.partition], run.rows)
            _add_spread(effects, batch, run, rules)
    seen = set(known_labels)
    for piece in pieces:
        if isinstance(piece.rows, Labels):
            _add_labels(effects, piece, piece.rows, positions[piece.partition], seen)
    return effects


def scores_to_keep(batch: ScoredBatch[M], rules: ScoringRules) -> list[KeptScore]:
    """Return what the model saw of every transaction that was scored; duplicates were not."""
    return [
        KeptScore(
            transaction_id=batch.transactions.transaction_id[row],
            event_time=_datetime(batch.transactions.event_time_us[row]),
            fraud_probability=float(batch.decisions.fraud_probability[row]),
            is_flagged=bool(batch.decisions.is_flagged[row]),
            features=_features_by_name(batch, row),
            model_version=rules.model_version,
        )
        for row in np.flatnonzero(~batch.observed.is_duplicate).tolist()
    ]


def _add_transactions(
    effects: Effects, batch: ScoredBatch[M], piece: Piece[M], position: Position, rows: slice
) -> None:
    is_duplicate = batch.observed.is_duplicate[rows]
    n_duplicate = int(is_duplicate.sum())
    n_flagged = int((batch.decisions.is_flagged[rows] & ~is_duplicate).sum())
    counts = Counts(
        n_in=piece.n_messages,
        n_clean=is_duplicate.size - n_duplicate - n_flagged,
        n_flagged=n_flagged,
        n_duplicate=n_duplicate,
        n_dead=len(piece.bad),
    )
    entries = _entries(batch, rows).where(~is_duplicate)
    if entries.event_time_us.size:
        times = entries.event_time_us
        effects.segments.append(_segment(piece, position, entries, times.min(), times.max()))
    effects.advances.append(_advance(piece, position, counts))


def _add_spread(effects: Effects, batch: ScoredBatch[M], run: Run, rules: ScoringRules) -> None:
    """Count the rows of each day in the hour that the stream had come to at their end."""
    for day in each_day(run.stream_time_us):
        rows = slice(run.rows.start + day.start, run.rows.start + day.stop)
        counts = rules.bins.count(
            batch.transactions.transaction_key[rows],
            batch.observed.is_duplicate[rows],
            batch.observed.features[rows],
            batch.decisions.fraud_probability[rows],
        )
        if counts.any():
            hour_us = int(run.stream_time_us[day.stop - 1]) // HOUR_US * HOUR_US
            effects.spread.append(
                SpreadCounts(run.partition, hour_us, rules.model_version, counts.tolist())
            )


def _add_labels(
    effects: Effects, piece: Piece[M], labels: Labels, position: Position, seen: set[LabelIdentity]
) -> None:
    is_new = np.zeros(labels.is_fraud.size, np.bool_)
    for row, identity in enumerate(label_identities(labels)):
        is_new[row] = identity not in seen
        seen.add(identity)
    n_new = int(is_new.sum())
    counts = Counts(
        n_in=piece.n_messages, n_clean=n_new, n_duplicate=is_new.size - n_new, n_dead=len(piece.bad)
    )
    if is_new.size:
        known = labels.known_at_us
        effects.segments.append(
            _segment(piece, position, label_entries(labels), known.min(), known.max())
        )
    effects.labels.extend(_label(piece, labels, row) for row in np.flatnonzero(is_new).tolist())
    effects.advances.append(_advance(piece, position, counts))


def _entries(batch: ScoredBatch[M], rows: slice) -> Entries:
    transactions, observed = batch.transactions, batch.observed
    return Entries(
        user_key=transactions.user_key[rows],
        terminal_key=observed.terminal_key[rows],
        event_time_us=transactions.event_time_us[rows],
        amount_cents=transactions.amount_cents[rows],
        transaction_key=transactions.transaction_key[rows],
        amount_ratio=observed.features[rows, AMOUNT_RATIO],
        high_count_14d=observed.features[rows, HIGH_COUNT_14D].astype(np.int64),
        is_high=observed.is_high[rows].astype(np.int64),
    )


def _segment(
    piece: Piece[M],
    position: Position,
    entries: Entries | LabelEntries,
    min_us: np.int64,
    max_us: np.int64,
) -> Segment:
    return Segment(
        partition=piece.partition,
        start_offset=position.next_offset,
        end_offset=piece.next_offset,
        min_event_time_us=int(min_us),
        max_event_time_us=int(max_us),
        columns=pack(entries),
    )


def _advance(piece: Piece[M], position: Position, counts: Counts) -> Advance:
    reached_us = position.event_time_us
    if piece.stream_time_us.size:
        reached_us = int(piece.stream_time_us[-1])
    return Advance(
        partition=piece.partition,
        epoch=position.epoch,
        start_offset=position.next_offset,
        next_offset=piece.next_offset,
        event_time_us=reached_us,
        counts=counts,
    )


def _label(piece: Piece[M], labels: Labels, row: int) -> Label:
    return Label(
        transaction_id=labels.transaction_id[row],
        user_id=labels.user_id[row],
        terminal_id=labels.terminal_id[row],
        event_time=_datetime(labels.event_time_us[row]),
        is_fraud=bool(labels.is_fraud[row]),
        known_at=_datetime(labels.known_at_us[row]),
        source=labels.source[row],
        partition=piece.partition,
        offset=piece.chunk.offset(int(labels.message_index[row])),
    )


def _flagged(batch: ScoredBatch[M], rules: ScoringRules) -> list[FlaggedTransaction]:
    chosen = batch.decisions.is_flagged & ~batch.observed.is_duplicate
    rows = np.flatnonzero(chosen)
    reasons = explain(
        rules.scorer,
        batch.observed.features[rows],
        batch.decisions.breaks_balance_rule[rows],
        batch.transactions.event_time_us[rows],
    )
    owners = np.searchsorted([run.rows.stop for run in batch.runs], rows, side="right")
    return [
        _flagged_row(batch, rules, batch.scored[owner], row, why)
        for row, owner, why in zip(rows.tolist(), owners.tolist(), reasons, strict=True)
    ]


def _flagged_row(
    batch: ScoredBatch[M], rules: ScoringRules, piece: Piece[M], row: int, reasons: list[Reason]
) -> FlaggedTransaction:
    transactions = batch.transactions
    fraud_probability = float(batch.decisions.fraud_probability[row])
    return FlaggedTransaction(
        transaction_id=transactions.transaction_id[row],
        user_id=transactions.user_id[row],
        terminal_id=transactions.terminal_id[row],
        event_time=_datetime(transactions.event_time_us[row]),
        amount_cents=int(transactions.amount_cents[row]),
        fraud_probability=fraud_probability,
        risk_level=risk_level(fraud_probability, rules.threshold).value,
        reasons=reasons,
        model_version=rules.model_version,
        partition=piece.partition,
        offset=piece.chunk.offset(int(transactions.message_index[row])),
        features=_features_by_name(batch, row),
    )


def _features_by_name(batch: ScoredBatch[M], row: int) -> dict[str, float]:
    return dict(zip(FEATURE_NAMES, batch.observed.features[row].tolist(), strict=True))


def _datetime(time_us: np.int64) -> datetime:
    return EPOCH + timedelta(microseconds=int(time_us))
