"""The labels: what became known about transactions, corrections beside what they correct."""

from collections.abc import Sequence

from sqlalchemy import TextClause, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.sql.dml import ReturningInsert

from flagpost.core.effects import Label
from flagpost.postgres.recordset import recordset
from flagpost.postgres.tables import FraudLabel

_IDENTITY = (FraudLabel.transaction_id, FraudLabel.known_at, FraudLabel.is_fraud)
_COLUMNS = (
    *_IDENTITY,
    FraudLabel.source,
    FraudLabel.user_id,
    FraudLabel.terminal_id,
    FraudLabel.ts,
    FraudLabel.topic,
    FraudLabel.partition,
    FraudLabel.kafka_offset,
)

_labels = recordset("labels", *_COLUMNS)
# All members insert in the same order: two that bring the same labels wait for each other and do
# not deadlock. Of two equal labels in a batch, the one that was sent first is kept.
_ORDER = [_labels.c[column.key] for column in (*_IDENTITY, FraudLabel.kafka_offset)]


def insertion(condition: TextClause) -> ReturningInsert[str, int]:
    """Insert under a condition, and return the partitions of those that were not stored yet."""
    return (
        insert(FraudLabel)
        .from_select(list(_COLUMNS), select(_labels).where(condition).order_by(*_ORDER))
        .on_conflict_do_nothing(index_elements=list(_IDENTITY))
        .returning(FraudLabel.topic, FraudLabel.partition)
    )


def parameters(labels: Sequence[Label]) -> dict[str, object]:
    """Return what `insertion` asks for."""
    return {"labels": [_as_row(label) for label in labels]}


def _as_row(label: Label) -> dict[str, object]:
    return {
        "transaction_id": label.transaction_id,
        "known_at": label.known_at,
        "is_fraud": label.is_fraud,
        "source": label.source,
        "user_id": label.user_id,
        "terminal_id": label.terminal_id,
        "ts": label.event_time,
        "topic": label.partition.topic,
        "partition": label.partition.number,
        "kafka_offset": label.offset,
    }
