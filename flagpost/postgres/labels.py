"""The labels: what became known about transactions, corrections beside what they correct."""

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, and_, select
from sqlalchemy.dialects.postgresql import insert

from flagpost.core.effects import Label, LabelIdentity
from flagpost.postgres.recordset import recordset
from flagpost.postgres.tables import FraudLabel
from flagpost.postgres.times import to_datetime, to_us

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
_INSERT = (
    insert(FraudLabel)
    .from_select(list(_COLUMNS), select(_labels).order_by(*_ORDER))
    .on_conflict_do_nothing(index_elements=list(_IDENTITY))
)

_asked = recordset("asked", *_IDENTITY)
_KNOWN = select(*_IDENTITY).join_from(
    FraudLabel, _asked, and_(*(column == _asked.c[column.key] for column in _IDENTITY))
)


def add(connection: Connection, labels: Sequence[Label]) -> None:
    """Add labels; one that is stored already stays as it is."""
    if labels:
        connection.execute(_INSERT, {"labels": [_as_row(label) for label in labels]})


def known(connection: Connection, identities: Collection[LabelIdentity]) -> set[LabelIdentity]:
    """Return which labels are stored already."""
    asked = [
        {"transaction_id": transaction_id, "known_at": to_datetime(known_at_us), "is_fraud": fraud}
        for transaction_id, known_at_us, fraud in identities
    ]
    rows = connection.execute(_KNOWN, {"asked": asked})
    return {(row.transaction_id, to_us(row.known_at), row.is_fraud) for row in rows}


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
