"""What the model saw of every transaction, kept when a setting asks for it, a partition a day."""

from collections.abc import Sequence

from sqlalchemy import ARRAY, Connection, Date, bindparam, func, select
from sqlalchemy.dialects.postgresql import insert

from flagpost.core.effects import KeptScore
from flagpost.postgres.recordset import recordset
from flagpost.postgres.tables import FraudScore

_COLUMNS = (
    FraudScore.transaction_id,
    FraudScore.user_id,
    FraudScore.terminal_id,
    FraudScore.ts,
    FraudScore.fraud_probability,
    FraudScore.is_flagged,
    FraudScore.features,
    FraudScore.model_version,
    FraudScore.topic,
    FraudScore.partition,
    FraudScore.kafka_offset,
)
_kept = recordset("kept", *_COLUMNS)
_INSERT = (
    insert(FraudScore)
    .from_select(list(_COLUMNS), select(_kept).order_by(_kept.c.transaction_id))
    .on_conflict_do_nothing(index_elements=[FraudScore.transaction_id, FraudScore.ts])
)
_days = bindparam("days", type_=ARRAY(Date))
_MAKE_ROOM = select(func.scores.make_room(_days))


def add(connection: Connection, kept: Sequence[KeptScore]) -> None:
    """Add scores; of two with the same id and time the first one stands."""
    connection.execute(_MAKE_ROOM, {"days": sorted({each.event_time.date() for each in kept})})
    connection.execute(_INSERT, {"kept": [_as_row(score) for score in kept]})


def _as_row(score: KeptScore) -> dict[str, object]:
    return {
        "transaction_id": score.transaction_id,
        "user_id": score.user_id,
        "terminal_id": score.terminal_id,
        "ts": score.event_time,
        "fraud_probability": score.fraud_probability,
        "is_flagged": score.is_flagged,
        "features": score.features,
        "model_version": score.model_version,
        "topic": score.partition.topic,
        "partition": score.partition.number,
        "kafka_offset": score.offset,
    }
