"""Columns and state in, decisions out: the one path of training, evaluation, worker and API."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from flagpost.core.decision import Bools, Decisions, decide
from flagpost.core.features import LATENESS_US
from flagpost.core.history import Int64s
from flagpost.core.observe import NO_TERMINAL, Batch
from flagpost.core.observed import Observed
from flagpost.core.redelivery import Identities, Recall, are_forgotten, find_redelivered
from flagpost.core.scorer import Scorer
from flagpost.core.spread import Bins
from flagpost.core.state import State
from flagpost.events import Partition, Transactions


@dataclass(frozen=True, slots=True)
class ScoringRules:
    """What a model brings to the pipeline: its tables and its numbers."""

    scorer: Scorer
    threshold: float
    population_mean_cents: float
    model_version: str
    bins: Bins


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive rows of one partition, in offset order, and the stream time at each of them."""

    partition: Partition
    rows: slice
    stream_time_us: Int64s


def observe_transactions(
    transactions: Transactions,
    runs: Sequence[Run],
    state: State,
    recall: Recall,
    population_mean_cents: float,
) -> Observed:
    """Compute the features of n transactions and add them to the state.

    Args:
        transactions: n accepted messages.
        runs: the rows of each partition; together all of them, in order.
        state: is changed.
        recall: reads the journal; asked about transactions that memory is too short for.
        population_mean_cents: the prior of a customer without habits.
    """
    n = transactions.user_key.size
    owner, stream_time_us = np.empty(n, np.int64), np.empty(n, np.int64)
    for run in runs:
        owner[run.rows] = state.owner_of(run.partition)
        stream_time_us[run.rows] = run.stream_time_us
    is_in_time = transactions.event_time_us > stream_time_us - LATENESS_US
    batch = Batch(
        user_key=transactions.user_key,
        terminal_key=np.where(is_in_time, transactions.terminal_key, NO_TERMINAL),
        owner=owner,
        event_time_us=transactions.event_time_us,
        amount_cents=transactions.amount_cents,
        account_balance_cents=transactions.account_balance_cents,
        transaction_key=transactions.transaction_key,
        stream_time_us=stream_time_us,
    )
    is_redelivered = _find_redelivered(batch, runs, recall)
    return state.observe(batch, population_mean_cents, is_redelivered)


def _find_redelivered(batch: Batch, runs: Sequence[Run], recall: Recall) -> Bools:
    is_redelivered = np.zeros(batch.user_key.size, np.bool_)
    if not are_forgotten(batch.event_time_us, batch.stream_time_us).any():
        return is_redelivered
    for run in runs:
        arrived = Identities(
            batch.user_key[run.rows],
            batch.event_time_us[run.rows],
            batch.transaction_key[run.rows],
        )
        is_redelivered[run.rows] = find_redelivered(
            run.partition, arrived, run.stream_time_us, recall
        )
    return is_redelivered


def decide_transactions(
    transactions: Transactions, observed: Observed, rules: ScoringRules
) -> Decisions:
    """Score and decide n transactions; the decision on a duplicate means nothing."""
    return decide(
        rules.scorer.fraud_probabilities(observed.features),
        rules.threshold,
        transactions.amount_cents,
        transactions.account_balance_cents,
    )
