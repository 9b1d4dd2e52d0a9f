"""One micro-batch: raw messages of several partitions in, all their effects out. No I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Generic, Protocol, TypeVar

import numpy as np

from flagpost.core.decision import Decisions, Reason, explain, risk_level
from flagpost.core.effects import Advance, Counts, Effects, FlaggedTransaction, Position, Segment
from flagpost.core.features import AMOUNT_RATIO, HIGH_COUNT_14D
from flagpost.core.history import Int64s
from flagpost.core.observed import Observed
from flagpost.core.pipeline import (
    Run,
    ScoringRules,
    decide_transactions,
    observe_transactions,
)
from flagpost.core.redelivery import Recall
from flagpost.core.segment import Entries, pack
from flagpost.core.state import State
from flagpost.events import BadMessage, Partition, TransactionDecoder, Transactions

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Messages(Protocol):
    """Consecutive messages of one partition, in offset order."""

    @property
    def partition(self) -> Partition:
        """Where they come from."""

    @property
    def values(self) -> Sequence[bytes | None]:
        """The message bodies; None is a tombstone."""

    @property
    def next_offset(self) -> int:
        """The offset to go on from after them."""

    def offset(self, index: int, /) -> int:
        """The offset of message `index`."""


M = TypeVar("M", bound=Messages)


@dataclass(frozen=True, slots=True)
class ScoredBatch(Generic[M]):
    """What was found in the messages of `chunks`, of which each partition has at most one.

    Messages count through all chunks, rows through the accepted transactions; both are in the
    order of the chunks, so that chunk k has messages [message_starts[k], message_starts[k + 1])
    and rows [row_starts[k], row_starts[k + 1]).
    """

    chunks: Sequence[M]
    message_starts: Int64s  # (chunks + 1,)
    row_starts: Int64s  # (chunks + 1,)
    transactions: Transactions
    observed: Observed
    decisions: Decisions
    bad: list[BadMessage]

    def locate(self, message_index: int) -> tuple[int, int]:
        """Return a message's chunk and its place in that chunk."""
        chunk = int(np.searchsorted(self.message_starts, message_index, side="right")) - 1
        return chunk, message_index - int(self.message_starts[chunk])

    def rows(self, chunk: int) -> slice:
        """Return the rows of a chunk."""
        return slice(int(self.row_starts[chunk]), int(self.row_starts[chunk + 1]))


def score_micro_batch(
    chunks: Sequence[M],
    decoder: TransactionDecoder,
    state: State,
    rules: ScoringRules,
    positions: Mapping[Partition, Position],
    recall: Recall,
    latest_event_time_us: int,
) -> ScoredBatch[M]:
    """Decode, observe, score and decide, going on from the positions.

    Only the state is changed, which must hold the partitions. A message whose event time lies
    after `latest_event_time_us` is bad; `recall` reads the journal.
    """
    values = [value for chunk in chunks for value in chunk.values]
    message_starts = np.cumsum([0, *(len(chunk.values) for chunk in chunks)])
    transactions, bad = decoder.decode(values, latest_event_time_us)
    row_starts = np.searchsorted(transactions.message_index, message_starts)
    runs = [
        Run(chunk.partition, slice(start, end), positions[chunk.partition].event_time_us)
        for chunk, start, end in zip(chunks, row_starts[:-1], row_starts[1:], strict=True)
    ]
    observed = observe_transactions(transactions, runs, state, recall, rules.population_mean_cents)
    decisions = decide_transactions(transactions, observed, rules)
    return ScoredBatch(chunks, message_starts, row_starts, transactions, observed, decisions, bad)


def effects_of(
    batch: ScoredBatch[M], positions: Mapping[Partition, Position], rules: ScoringRules
) -> Effects:
    """Turn a scored batch into all that has to be committed, going on from the positions."""
    effects = Effects(advances=[], segments=[], flagged=_flagged(batch, rules))
    for number, chunk in enumerate(batch.chunks):
        position = positions[chunk.partition]
        segment = _segment(batch, chunk, position, batch.rows(number))
        if segment is not None:
            effects.segments.append(segment)
        counts = _count(batch, len(chunk.values), batch.rows(number))
        effects.advances.append(_advance(chunk, position, segment, counts))
    return effects


def _count(batch: ScoredBatch[M], n_in: int, rows: slice) -> Counts:
    duplicate = batch.observed.is_duplicate[rows]
    n_duplicate = int(duplicate.sum())
    n_flagged = int((batch.decisions.is_flagged[rows] & ~duplicate).sum())
    return Counts(
        n_in=n_in,
        n_clean=duplicate.size - n_duplicate - n_flagged,
        n_flagged=n_flagged,
        n_duplicate=n_duplicate,
        n_dead=n_in - duplicate.size,
    )


def _segment(
    batch: ScoredBatch[M], chunk: Messages, position: Position, rows: slice
) -> Segment | None:
    transactions, observed = batch.transactions, batch.observed
    accepted = ~observed.is_duplicate[rows]
    if not accepted.any():
        return None
    entries = Entries(
        user_key=transactions.user_key[rows],
        terminal_key=observed.terminal_key[rows],
        event_time_us=transactions.event_time_us[rows],
        amount_cents=transactions.amount_cents[rows],
        transaction_key=transactions.transaction_key[rows],
        amount_ratio=observed.features[rows, AMOUNT_RATIO],
        high_count_14d=observed.features[rows, HIGH_COUNT_14D].astype(np.int64),
        is_high=observed.is_high[rows].astype(np.int64),
    ).where(accepted)
    return Segment(
        partition=chunk.partition,
        start_offset=position.next_offset,
        end_offset=chunk.next_offset,
        min_event_time_us=int(entries.event_time_us.min()),
        max_event_time_us=int(entries.event_time_us.max()),
        columns=pack(entries),
    )


def _advance(
    chunk: Messages, position: Position, segment: Segment | None, counts: Counts
) -> Advance:
    times = [position.event_time_us, segment.max_event_time_us if segment else None]
    return Advance(
        partition=chunk.partition,
        epoch=position.epoch,
        start_offset=position.next_offset,
        next_offset=chunk.next_offset,
        event_time_us=max((time for time in times if time is not None), default=None),
        counts=counts,
    )


def _flagged(batch: ScoredBatch[M], rules: ScoringRules) -> list[FlaggedTransaction]:
    rows = np.flatnonzero(batch.decisions.is_flagged & ~batch.observed.is_duplicate)
    reasons = explain(
        rules.scorer, batch.observed.features[rows], batch.decisions.breaks_balance_rule[rows]
    )
    return [
        _flagged_row(batch, rules, int(row), why)
        for row, why in zip(rows, reasons, strict=True)
    ]  # fmt: skip


def _flagged_row(
    batch: ScoredBatch[M], rules: ScoringRules, row: int, reasons: list[Reason]
) -> FlaggedTransaction:
    transactions = batch.transactions
    chunk, index = batch.locate(int(transactions.message_index[row]))
    fraud_probability = float(batch.decisions.fraud_probability[row])
    return FlaggedTransaction(
        transaction_id=transactions.transaction_id[row],
        user_id=transactions.user_id[row],
        terminal_id=transactions.terminal_id[row],
        event_time=EPOCH + timedelta(microseconds=int(transactions.event_time_us[row])),
        amount_cents=int(transactions.amount_cents[row]),
        fraud_probability=fraud_probability,
        risk_level=risk_level(fraud_probability, rules.threshold).value,
        reasons=reasons,
        model_version=rules.model_version,
        partition=batch.chunks[chunk].partition,
        offset=batch.chunks[chunk].offset(index),
    )
