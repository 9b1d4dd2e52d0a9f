"""Columns and state in, decisions out: the one path of training, evaluation, worker and API."""

from dataclasses import dataclass

from flagpost.core.decision import Decisions, decide
from flagpost.core.features import Batch
from flagpost.core.history import Int64s
from flagpost.core.observed import Observed
from flagpost.core.scorer import Scorer
from flagpost.core.state import State
from flagpost.events import Transactions


@dataclass(frozen=True, slots=True)
class ScoringRules:
    """What a model brings to the pipeline: its tables and its numbers."""

    scorer: Scorer
    threshold: float
    population_mean_cents: float
    model_version: str


def observe_transactions(
    transactions: Transactions, owner: Int64s, state: State, population_mean_cents: float
) -> Observed:
    """Compute the features of n transactions, in order, and add them to the state.

    Args:
        transactions: n accepted messages.
        owner: shape (n,), the number of each one's partition by `State.owner_of`.
        state: is changed.
        population_mean_cents: the prior of a customer without habits.
    """
    batch = Batch(
        user_key=transactions.user_key,
        owner=owner,
        event_time_us=transactions.event_time_us,
        amount_cents=transactions.amount_cents,
        account_balance_cents=transactions.account_balance_cents,
        transaction_key=transactions.transaction_key,
    )
    return state.observe(batch, population_mean_cents)


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
