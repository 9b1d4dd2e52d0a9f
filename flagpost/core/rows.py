"""The rows of the tables: flagged transactions, kept scores and labels."""

from datetime import datetime, timedelta

import numpy as np

from flagpost.core.calendar import EPOCH
from flagpost.core.decision import Reason, explain, risk_level
from flagpost.core.effects import FlaggedTransaction, KeptScore, Label
from flagpost.core.features import FEATURE_NAMES
from flagpost.core.history import Int64s
from flagpost.core.micro_batch import ScoredBatch
from flagpost.core.piece import M, Piece
from flagpost.core.pipeline import ScoringRules
from flagpost.label_events import Labels


def flagged_transactions(batch: ScoredBatch[M], rules: ScoringRules) -> list[FlaggedTransaction]:
    """Return what is to be stored of the flagged transactions, with their reasons."""
    chosen = batch.decisions.is_flagged & ~batch.observed.is_duplicate
    rows = np.flatnonzero(chosen)
    reasons = explain(
        rules.scorer,
        batch.observed.features[rows],
        batch.decisions.breaks_balance_rule[rows],
        batch.transactions.event_time_us[rows],
    )
    return [
        _flagged_row(batch, rules, piece, row, why)
        for row, piece, why in zip(rows.tolist(), _pieces_of(batch, rows), reasons, strict=True)
    ]


def _pieces_of(batch: ScoredBatch[M], rows: Int64s) -> list[Piece[M]]:
    """Return the piece that each row came in."""
    owners = np.searchsorted([run.rows.stop for run in batch.runs], rows, side="right")
    return [batch.scored[owner] for owner in owners.tolist()]


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


def scores_to_keep(batch: ScoredBatch[M], rules: ScoringRules) -> list[KeptScore]:
    """Return what the model saw of every transaction that was scored; duplicates were not."""
    rows = np.flatnonzero(~batch.observed.is_duplicate)
    return [
        KeptScore(
            transaction_id=batch.transactions.transaction_id[row],
            event_time=_datetime(batch.transactions.event_time_us[row]),
            fraud_probability=float(batch.decisions.fraud_probability[row]),
            is_flagged=bool(batch.decisions.is_flagged[row]),
            features=_features_by_name(batch, row),
            model_version=rules.model_version,
            partition=piece.partition,
            offset=piece.chunk.offset(int(batch.transactions.message_index[row])),
        )
        for row, piece in zip(rows.tolist(), _pieces_of(batch, rows), strict=True)
    ]


def label_row(piece: Piece[M], labels: Labels, row: int) -> Label:
    """Return what is to be stored of a label."""
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


def _features_by_name(batch: ScoredBatch[M], row: int) -> dict[str, float]:
    return dict(zip(FEATURE_NAMES, batch.observed.features[row].tolist(), strict=True))


def _datetime(time_us: np.int64) -> datetime:
    return EPOCH + timedelta(microseconds=int(time_us))
