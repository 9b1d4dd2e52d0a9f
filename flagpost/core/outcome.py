"""What a scored micro-batch does to the world: counts, positions, journal segments and rows."""

from collections.abc import Mapping, Sequence

import numpy as np

from flagpost.core.calendar import HOUR_US
from flagpost.core.effects import (
    Advance,
    Checkpoint,
    Counts,
    Effects,
    Position,
    Segment,
    SpreadCounts,
)
from flagpost.core.features import AMOUNT_RATIO, HIGH_COUNT_14D
from flagpost.core.micro_batch import ScoredBatch, label_entries
from flagpost.core.piece import M, Piece
from flagpost.core.pipeline import Run, ScoringRules
from flagpost.core.rows import flagged_transactions, label_rows
from flagpost.core.segment import Entries, LabelEntries, pack
from flagpost.core.spread import each_day, opens_hour
from flagpost.core.totals import hourly_totals
from flagpost.events import Partition
from flagpost.label_events import Labels


def effects_of(
    pieces: Sequence[Piece[M]],
    batch: ScoredBatch[M] | None,
    positions: Mapping[Partition, Position],
    rules: ScoringRules,
) -> Effects:
    """Turn pieces and their scores into all that has to be committed, from the positions on.

    Labels count as new here; the store finds out which of them it has already.
    """
    effects = Effects(advances=[])
    if batch is not None:
        effects.flagged.extend(flagged_transactions(batch, rules))
        effects.totals.extend(hourly_totals(batch, effects.flagged, rules))
        for piece, run in zip(batch.scored, batch.runs, strict=True):
            _add_transactions(effects, batch, piece, positions[piece.partition], run.rows)
            _add_spread(effects, batch, run, rules)
    for piece in pieces:
        if isinstance(piece.rows, Labels):
            _add_labels(effects, piece, piece.rows, positions[piece.partition])
    effects.checkpoints.extend(
        Checkpoint(piece.partition, _first_us(piece))
        for piece in pieces
        if opens_hour(piece.stream_time_us, positions[piece.partition].event_time_us)
    )
    return effects


def _add_transactions(
    effects: Effects, batch: ScoredBatch[M], piece: Piece[M], position: Position, rows: slice
) -> None:
    is_duplicate = batch.observed.is_duplicate[rows]
    n_duplicate = int(np.count_nonzero(is_duplicate))
    n_flagged = int(np.count_nonzero(batch.decisions.is_flagged[rows] & ~is_duplicate))
    counts = Counts(
        n_in=piece.n_messages,
        n_clean=is_duplicate.size - n_duplicate - n_flagged,
        n_flagged=n_flagged,
        n_duplicate=n_duplicate,
        n_dead=len(piece.bad),
    )
    entries = _entries(batch, rows)
    if n_duplicate:
        entries = entries.where(~is_duplicate)
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


def _add_labels(effects: Effects, piece: Piece[M], labels: Labels, position: Position) -> None:
    counts = Counts(n_in=piece.n_messages, n_clean=labels.is_fraud.size, n_dead=len(piece.bad))
    if labels.is_fraud.size:
        known = labels.known_at_us
        effects.segments.append(
            _segment(piece, position, label_entries(labels), known.min(), known.max())
        )
    effects.labels.extend(label_rows(piece, labels))
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


def _first_us(piece: Piece[M]) -> int | None:
    return int(piece.stream_time_us[0]) if piece.stream_time_us.size else None


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
