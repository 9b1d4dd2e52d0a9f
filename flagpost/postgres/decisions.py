"""The flagged transactions, each once: what all the rest is for."""

from collections.abc import Sequence
from decimal import Decimal

from sqlalchemy import TextClause, select
from sqlalchemy.dialects.postgresql import Insert, insert

from flagpost.core.effects import FlaggedTransaction
from flagpost.postgres.recordset import recordset
from flagpost.postgres.tables import FraudTransaction

_COLUMNS = (
    FraudTransaction.transaction_id,
    FraudTransaction.user_id,
    FraudTransaction.terminal_id,
    FraudTransaction.ts,
    FraudTransaction.amount,
    FraudTransaction.fraud_probability,
    FraudTransaction.risk_level,
    FraudTransaction.reasons,
    FraudTransaction.model_version,
    FraudTransaction.topic,
    FraudTransaction.partition,
    FraudTransaction.kafka_offset,
    FraudTransaction.features,
)
_flagged = recordset("flagged", *_COLUMNS)


def insertion(condition: TextClause) -> Insert:
    """Insert under a condition; transactions whose id is taken are left out."""
    # In one order, or two groups that flag the same transactions could wait for each other.
    rows = select(_flagged).where(condition).order_by(_flagged.c.transaction_id)
    return (
        insert(FraudTransaction)
        .from_select(list(_COLUMNS), rows)
        .on_conflict_do_nothing(index_elements=[FraudTransaction.transaction_id])
    )


def parameters(flagged: Sequence[FlaggedTransaction]) -> dict[str, object]:
    """Return what `insertion` asks for."""
    return {"flagged": [_as_row(each) for each in flagged]}


def _as_row(flagged: FlaggedTransaction) -> dict[str, object]:
    return {
        "transaction_id": flagged.transaction_id,
        "user_id": flagged.user_id,
        "terminal_id": flagged.terminal_id,
        "ts": flagged.event_time,
        "amount": Decimal(flagged.amount_cents).scaleb(-2),
        "fraud_probability": flagged.fraud_probability,
        "risk_level": flagged.risk_level,
        "reasons": flagged.reasons,
        "model_version": flagged.model_version,
        "topic": flagged.partition.topic,
        "partition": flagged.partition.number,
        "kafka_offset": flagged.offset,
        "features": flagged.features,
    }
