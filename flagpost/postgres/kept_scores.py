"""What the model saw of every transaction, kept for comparison when a setting asks for it."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from flagpost.core.effects import KeptScore
from flagpost.postgres.recordset import recordset
from flagpost.postgres.tables import FraudScore

_COLUMNS = (
    FraudScore.transaction_id,
    FraudScore.ts,
    FraudScore.fraud_probability,
    FraudScore.is_flagged,
    FraudScore.features,
    FraudScore.model_version,
    FraudScore.topic,
    FraudScore.partition,
    FraudScore.kafka_offset,
)
INSERT = (
    insert(FraudScore)
    .from_select(list(_COLUMNS), select(recordset("kept", *_COLUMNS)))
    .on_conflict_do_nothing(index_elements=[FraudScore.transaction_id])
)


def parameters(kept: Sequence[KeptScore]) -> dict[str, object]:
    """Return what `INSERT` asks for; of an id that is taken the first score stands."""
    return {"kept": [_as_row(score) for score in kept]}


def _as_row(score: KeptScore) -> dict[str, object]:
    return {
        "transaction_id": score.transaction_id,
        "ts": score.event_time,
        "fraud_probability": score.fraud_probability,
        "is_flagged": score.is_flagged,
        "features": score.features,
        "model_version": score.model_version,
        "topic": score.partition.topic,
        "partition": score.partition.number,
        "kafka_offset": score.offset,
    }
