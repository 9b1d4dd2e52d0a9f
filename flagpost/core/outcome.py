"""What a scored micro-batch does to the world: counts, positions, journal segments and rows."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from flagpost.compiled import compiled
from flagpost.core.calendar import HOUR_US
from flagpost.core.decision import Bools
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
from flagpost.core.history import Int64s
from flagpost.core.micro_batch import ScoredBatch, label_entries
from flagpost.core.piece import M, Piece
from flagpost.core.pipeline import ScoringRules
from flagpost.core.rows import flagged_transactions, label_rows
from flagpost.core.segment import Entries, pack, pack_each
from flagpost.core.spread import each_day, opens_hour
from flagpost.core.totals import hourly_totals
from flagpost.events import Partition
from flagpost.label_events import Labels

_FOREVER_US = np.iinfo(np.int64).max


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
        effects.spread.extend(_spread(batch, rules))
        _add_transactions(effects, batch, positions)
    for piece in pieces:
        if isinstance(piece.rows, Labels):
            _add_labels(effects, piece, piece.rows, positions[piece.partition])
    effects.checkpoints.extend(
        Checkpoint(piece.partition, _first_us(piece))
        for piece in pieces
        if opens_hour(piece.stream_time_us, positions[piece.partition].event_time_us)
    )
    return effects


def _spread(batch: ScoredBatch[M], rules: ScoringRules) -> Iterator[SpreadCounts]:
    """Count the rows of each day in the hour that the stream had come to at their end."""
    days = [(run, day.stop) for run in batch.runs for day in each_day(run.stream_time_us)]
    counts = rules.bins.count(
        batch.transactions.transaction_key,
        batch.observed.is_duplicate,
        batch.observed.features,
        batch.decisions.fraud_probability,
        np.array([run.rows.start + stop for run, stop in days], np.int64),
    )
    for day in np.flatnonzero(counts.any(axis=1)).tolist():
        run, stop = days[day]
        hour_us = int(run.stream_time_us[stop - 1]) // HOUR_US * HOUR_US
        yield SpreadCounts(run.partition, hour_us, rules.model_version, counts[day].tolist())


def _add_transactions(
    effects: Effects, batch: ScoredBatch[M], positions: Mapping[Partition, Position]
) -> None:
    entries, ends = _accepted(batch)
    for piece, found, columns in zip(
        batch.scored, _findings(batch), pack_each(entries, ends), strict=True
    ):
        counts = Counts(
            n_in=piece.n_messages,
            n_clean=piece.stream_time_us.size - found.n_duplicate - found.n_flagged,
            n_flagged=found.n_flagged,
            n_duplicate=found.n_duplicate,
            n_dead=len(piece.bad),
        )
        advance = _advance(piece, positions[piece.partition], counts)
        effects.advances.append(advance)
        if columns:
            effects.segments.append(_segment(advance, found.min_us, found.max_us, columns))


class _Finding(NamedTuple):
    """What was found in a run; its event times are those of the accepted ones, if there are any."""

    n_duplicate: int
    n_flagged: int
    min_us: int
    max_us: int


def _findings(batch: ScoredBatch[M]) -> list[_Finding]:
    """Look at each run."""
    found = np.empty((batch.ends.size, len(_Finding._fields)), np.int64)
    _look_at_runs(
        batch.ends,
        batch.observed.is_duplicate,
        batch.decisions.is_flagged,
        batch.transactions.event_time_us,
        found,
    )
    return [_Finding(*each) for each in found.tolist()]


@compiled
def _look_at_runs(
    ends: Int64s, is_duplicate: Bools, is_flagged: Bools, event_time_us: Int64s, found: Int64s
) -> None:
    first = 0
    for run in range(ends.size):
        n_duplicate, n_flagged, min_us, max_us = 0, 0, _FOREVER_US, -_FOREVER_US
        for row in range(first, ends[run]):
            if is_duplicate[row]:
                n_duplicate += 1
                continue
            n_flagged += is_flagged[row]
            min_us, max_us = min(min_us, event_time_us[row]), max(max_us, event_time_us[row])
        found[run, 0], found[run, 1] = n_duplicate, n_flagged
        found[run, 2], found[run, 3] = min_us, max_us
        first = ends[run]


def _add_labels(effects: Effects, piece: Piece[M], labels: Labels, position: Position) -> None:
    counts = Counts(n_in=piece.n_messages, n_clean=labels.is_fraud.size, n_dead=len(piece.bad))
    advance = _advance(piece, position, counts)
    effects.advances.append(advance)
    effects.labels.extend(label_rows(piece, labels))
    if labels.is_fraud.size:
        known = labels.known_at_us
        columns = pack(label_entries(labels))
        effects.segments.append(_segment(advance, int(known.min()), int(known.max()), columns))


def _accepted(batch: ScoredBatch[M]) -> tuple[Entries, Int64s]:
    """Return what the journal keeps, and the row behind that of each run."""
    transactions, observed = batch.transactions, batch.observed
    entries = Entries(
        user_key=transactions.user_key,
        terminal_key=observed.terminal_key,
        event_time_us=transactions.event_time_us,
        amount_cents=transactions.amount_cents,
        transaction_key=transactions.transaction_key,
        amount_ratio=observed.features[:, AMOUNT_RATIO],
        high_count_14d=observed.features[:, HIGH_COUNT_14D].astype(np.int64),
        is_high=observed.is_high.astype(np.int64),
    )
    if not observed.is_duplicate.any():
        return entries, batch.ends
    is_new = ~observed.is_duplicate
    n_new_before = np.concatenate([[0], np.cumsum(is_new)])
    return entries.where(is_new), n_new_before[batch.ends]


def _segment(advance: Advance, min_us: int, max_us: int, columns: bytes) -> Segment:
    return Segment(
        partition=advance.partition,
        start_offset=advance.start_offset,
        end_offset=advance.next_offset,
        min_event_time_us=min_us,
        max_event_time_us=max_us,
        columns=columns,
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
