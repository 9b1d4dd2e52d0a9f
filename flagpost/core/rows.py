"""The rows of the tables: flagged transactions, kept scores and labels."""

from datetime import datetime, timedelta

import numpy as np

from flagpost.core.calendar import EPOCH
from flagpost.core.decision import explain, risk_level
from flagpost.core.effects import FlaggedTransaction, KeptScore, Label
from flagpost.core.micro_batch import ScoredBatch
from flagpost.core.piece import M, Piece
from flagpost.core.pipeline import ScoringRules
from flagpost.label_events import Labels


def flagged_transactions(batch: ScoredBatch[M], rules: ScoringRules) -> list[FlaggedTransaction]:
    """Return what is to be stored of the flagged transactions, with their reasons."""
    rows = np.flatnonzero(batch.decisions.is_flagged & ~batch.observed.is_duplicate)
    if not rows.size:
        return []
    reasons = explain(
        rules.scorer,
        batch.observed.features[rows],
        batch.decisions.breaks_balance_rule[rows],
        batch.transactions.event_time_us[rows],
    )
    owners = np.searchsorted(batch.ends, rows, side="right").tolist()
    texts, features = batch.transactions, batch.observed.features[rows].tolist()
    times_us = batch.transactions.event_time_us[rows].tolist()
    cents = batch.transactions.amount_cents[rows].tolist()
    probabilities = batch.decisions.fraud_probability[rows].tolist()
    messages = batch.transactions.message_index[rows].tolist()
    return [
        FlaggedTransaction(
            transaction_id=texts.transaction_id[row],
            user_id=texts.user_id[row],
            terminal_id=texts.terminal_id[row],
            event_time=_datetime(times_us[i]),
            amount_cents=cents[i],
            fraud_probability=probabilities[i],
            risk_level=risk_level(probabilities[i], rules.threshold).value,
            reasons=reasons[i],
            model_version=rules.model_version,
            partition=batch.scored[owners[i]].partition,
            offset=batch.scored[owners[i]].offset(messages[i]),
            features=features[i],
        )
        for i, row in enumerate(rows.tolist())
    ]


def scores_to_keep(batch: ScoredBatch[M], rules: ScoringRules) -> list[KeptScore]:
    """Return what the model saw of every transaction that was scored; duplicates were not."""
    rows = np.flatnonzero(~batch.observed.is_duplicate)
    texts = batch.transactions
    features = batch.observed.features[rows].tolist()
    times_us = batch.transactions.event_time_us[rows].tolist()
    probabilities = batch.decisions.fraud_probability[rows].tolist()
    flags = batch.decisions.is_flagged[rows].tolist()
    owners = np.searchsorted(batch.ends, rows, side="right").tolist()
    messages = batch.transactions.message_index[rows].tolist()
    return [
        KeptScore(
            transaction_id=texts.transaction_id[row],
            user_id=texts.user_id[row],
            terminal_id=texts.terminal_id[row],
            event_time=_datetime(times_us[i]),
            fraud_probability=probabilities[i],
            is_flagged=flags[i],
            features=features[i],
            model_version=rules.model_version,
            partition=batch.scored[owners[i]].partition,
            offset=batch.scored[owners[i]].offset(messages[i]),
        )
        for i, row in enumerate(rows.tolist())
    ]


def label_rows(piece: Piece[M], labels: Labels) -> list[Label]:
    """Return what is to be stored of labels."""
    times_us, known_at_us = labels.event_time_us.tolist(), labels.known_at_us.tolist()
    frauds, messages = labels.is_fraud.tolist(), labels.message_index.tolist()
    return [
        Label(
            transaction_id=labels.transaction_id[row],
            user_id=labels.user_id[row],
            terminal_id=labels.terminal_id[row],
            event_time=_datetime(times_us[row]),
            is_fraud=frauds[row],
            known_at=_datetime(known_at_us[row]),
            source=labels.source[row],
            partition=piece.partition,
            offset=piece.offset(messages[row]),
        )
        for row in range(labels.is_fraud.size)
    ]


def _datetime(time_us: int) -> datetime:
    return EPOCH + timedelta(microseconds=time_us)
