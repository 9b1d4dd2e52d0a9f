"""Schema `label`: what became known about transactions."""

from datetime import datetime

from sqlalchemy import Index, func
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import Integer

from flagpost.postgres.tables.base import Base


class FraudLabel(Base):
    """What became known about a transaction."""

    __tablename__ = "fraud_labels"
    __table_args__ = (
        Index(None, "ts"),
        Index(None, "user_id", "ts"),
        Index(None, "terminal_id", "ts"),
        Index(None, "known_at"),
        {
            "schema": "label",
            "comment": "Labels, each once. A correction is a row of its own with a later known_at; "
            "label.latest_fraud_labels has what counts now.",
        },
    )

    transaction_id: Mapped[str] = mapped_column(
        primary_key=True, comment="Id of the transaction, as its sender gave it"
    )
    known_at: Mapped[datetime] = mapped_column(
        primary_key=True, comment="When this became known, by the sender of the label"
    )
    is_fraud: Mapped[bool] = mapped_column(
        primary_key=True, comment="What became known: fraud, or genuine after all"
    )
    source: Mapped[str | None] = mapped_column(
        comment="Who found out; null when the message did not say"
    )
    user_id: Mapped[str | None] = mapped_column(comment="Customer who paid; null when not named")
    terminal_id: Mapped[str | None] = mapped_column(
        comment="Terminal of the transaction; null when not named"
    )
    ts: Mapped[datetime] = mapped_column(comment="When the transaction happened")
    topic: Mapped[str] = mapped_column(comment="Kafka topic of the message")
    partition: Mapped[int] = mapped_column(Integer, comment="Partition of the message")
    kafka_offset: Mapped[int] = mapped_column(comment="Offset of the message in its partition")
    learned_at: Mapped[datetime] = mapped_column(
        server_default=func.now(), comment="When the label was stored here"
    )
