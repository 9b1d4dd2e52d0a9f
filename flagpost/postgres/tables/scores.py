"""Schema `scores`: what the scorer has decided."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ARRAY, CheckConstraint, Computed, Double, Index, Numeric, func, true
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import Integer

from flagpost.postgres.tables.base import Base


class FraudTransaction(Base):
    """A flagged transaction with its reasons."""

    __tablename__ = "fraud_transactions"
    __table_args__ = (
        Index(None, "ts"),
        Index(None, "user_id", "ts"),
        Index(None, "terminal_id", "ts"),
        {
            "schema": "scores",
            "comment": "Flagged transactions, each once, with the reasons. Clean transactions are "
            "counted in stream.positions and not stored.",
        },
    )

    transaction_id: Mapped[str] = mapped_column(
        primary_key=True, comment="Id of the transaction, as its sender gave it"
    )
    user_id: Mapped[str] = mapped_column(comment="Customer who paid")
    terminal_id: Mapped[str | None] = mapped_column(
        comment="Terminal where the payment was made; null when the message named none"
    )
    ts: Mapped[datetime] = mapped_column(comment="When the transaction happened")
    amount: Mapped[Decimal] = mapped_column(
        Numeric(14, 2), comment="Amount in the currency of the stream, to the cent"
    )
    fraud_probability: Mapped[float] = mapped_column(
        comment="Probability of fraud by the model, from 0 to 1"
    )
    risk_level: Mapped[str] = mapped_column(comment="LOW, MEDIUM or HIGH")
    reasons: Mapped[list[dict[str, Any]]] = mapped_column(
        JSONB, comment="Why it was flagged, strongest reason first"
    )
    model_version: Mapped[str] = mapped_column(comment="Model that decided")
    topic: Mapped[str] = mapped_column(comment="Kafka topic of the message")
    partition: Mapped[int] = mapped_column(Integer, comment="Partition of the message")
    kafka_offset: Mapped[int] = mapped_column(comment="Offset of the message in its partition")
    scored_at: Mapped[datetime] = mapped_column(
        server_default=func.now(), comment="When the decision was made"
    )
    features: Mapped[list[float] | None] = mapped_column(
        ARRAY(Double),
        comment="Value of every feature as the model saw it; scores.flagged_features has them by "
        "name. Null in rows from before this was kept",
    )


class FraudScore(Base):
    """What the model saw of a transaction, flagged or not."""

    __tablename__ = "fraud_scores"
    __table_args__ = (
        {
            "schema": "scores",
            "postgresql_partition_by": "RANGE (ts)",
            "comment": "Every scored transaction with all that the model saw of it, flagged or "
            "not. Filled only where FLAGPOST_KEEP_SCORES=all. A partition for each day; "
            "scores.retention says how many are kept.",
        },
    )

    transaction_id: Mapped[str] = mapped_column(
        primary_key=True, comment="Id of the transaction, as its sender gave it"
    )
    user_id: Mapped[str | None] = mapped_column(comment="Customer who paid; null in old rows")
    terminal_id: Mapped[str | None] = mapped_column(
        comment="Terminal where the payment was made; null when the message named none"
    )
    ts: Mapped[datetime] = mapped_column(primary_key=True, comment="When the transaction happened")
    fraud_probability: Mapped[float] = mapped_column(
        comment="Probability of fraud by the model, from 0 to 1"
    )
    is_flagged: Mapped[bool] = mapped_column(comment="Whether it was flagged")
    fraud_label: Mapped[int] = mapped_column(
        Integer,
        Computed("is_flagged::int", persisted=True),
        comment="The same as a number: 1 if it was flagged, else 0",
    )
    features: Mapped[list[float]] = mapped_column(
        ARRAY(Double),
        comment="Value of every feature, exact to the last bit; scores.kept_features has them by "
        "name",
    )
    model_version: Mapped[str] = mapped_column(comment="Model that scored it")
    scored_at: Mapped[datetime] = mapped_column(
        server_default=func.now(), comment="When it was scored"
    )
    topic: Mapped[str | None] = mapped_column(
        comment="Kafka topic of the message; null in old rows"
    )
    partition: Mapped[int | None] = mapped_column(Integer, comment="Partition of the message")
    kafka_offset: Mapped[int | None] = mapped_column(
        comment="Offset of the message in its partition"
    )


class ScoreRetention(Base):
    """How long kept scores are kept."""

    __tablename__ = "retention"
    __table_args__ = (
        CheckConstraint("is_only", name="one_row"),
        CheckConstraint("keep_days > 0", name="some_days"),
        {
            "schema": "scores",
            "comment": "How long scores.fraud_scores keeps scores. Change the row as you like.",
        },
    )

    is_only: Mapped[bool] = mapped_column(
        primary_key=True, server_default=true(), comment="Always true: there is one row"
    )
    keep_days: Mapped[int] = mapped_column(Integer, comment="Days of event time that are kept")
