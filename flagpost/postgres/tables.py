"""What is stored, as SQLAlchemy models; psql shows the comments with the tables."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Double,
    Index,
    LargeBinary,
    MetaData,
    Numeric,
    Text,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import Integer


class Base(DeclarativeBase):
    """Registers the tables, and says which PostgreSQL type a Python type becomes."""

    metadata = MetaData(
        naming_convention={
            "pk": "%(table_name)s_pkey",
            "ck": "%(table_name)s_%(constraint_name)s",
            "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        }
    )
    type_annotation_map = {  # noqa: RUF012  (SQLAlchemy declares it without ClassVar)
        str: Text,
        int: BigInteger,
        float: Double,
        bytes: LargeBinary,
        datetime: TIMESTAMP(timezone=True),
    }


class StreamPosition(Base):
    """How far a partition is processed, and who may go on."""

    __tablename__ = "positions"
    __table_args__ = (
        CheckConstraint(
            "n_in = n_clean + n_flagged + n_duplicate + n_dead", name="counts_add_up"
        ),
        {
            "schema": "stream",
            "comment": "How far each group has processed each partition. It commits together with "
            "the effects of the messages, so it is exact where a Kafka offset is only advice.",
        },
    )  # fmt: skip

    topic: Mapped[str] = mapped_column(primary_key=True, comment="Kafka topic")
    partition: Mapped[int] = mapped_column(
        Integer, primary_key=True, autoincrement=False, comment="Partition of the topic"
    )
    group: Mapped[str] = mapped_column(
        primary_key=True, comment="Consumer group; groups share no state"
    )
    epoch: Mapped[int] = mapped_column(
        comment="Grows each time a member takes the partition over; only the latest may commit"
    )
    next_offset: Mapped[int] = mapped_column(
        comment="Offset of the next message: all before it is done, nothing from it on"
    )
    event_time: Mapped[datetime | None] = mapped_column(
        comment="Latest event time seen; it never goes back. Null before the first transaction"
    )
    waits_at: Mapped[datetime | None] = mapped_column(
        comment="Event time of the next message while it waits for slower partitions; it may "
        "lie behind event_time later on. Null if this partition has never waited"
    )
    n_in: Mapped[int] = mapped_column(server_default="0", comment="Messages read")
    n_clean: Mapped[int] = mapped_column(server_default="0", comment="Scored and not flagged")
    n_flagged: Mapped[int] = mapped_column(server_default="0", comment="Scored and flagged")
    n_duplicate: Mapped[int] = mapped_column(
        server_default="0", comment="Delivered before, so neither scored nor counted again"
    )
    n_dead: Mapped[int] = mapped_column(
        server_default="0", comment="Sent to the dead letters because they could not be read"
    )
    updated_at: Mapped[datetime] = mapped_column(
        server_default=func.now(), comment="When this row last changed"
    )


class JournalSegment(Base):
    """Accepted transactions of one batch and partition."""

    __tablename__ = "journal"
    __table_args__ = (
        CheckConstraint("end_offset > start_offset", name="not_empty"),
        Index(None, "topic", "partition", "group", "max_ts"),
        {
            "schema": "stream",
            "comment": "Accepted transactions, packed, one row per batch and partition. Customer "
            "and terminal histories are rebuilt from it after a restart or a rebalance.",
        },
    )

    topic: Mapped[str] = mapped_column(primary_key=True, comment="Kafka topic")
    partition: Mapped[int] = mapped_column(
        Integer, primary_key=True, autoincrement=False, comment="Partition of the topic"
    )
    group: Mapped[str] = mapped_column(
        primary_key=True, comment="Consumer group; groups share no state"
    )
    start_offset: Mapped[int] = mapped_column(
        primary_key=True, autoincrement=False, comment="Offset of the first message of the batch"
    )
    end_offset: Mapped[int] = mapped_column(
        comment="Offset behind the last message; duplicates and dead letters leave gaps inside"
    )
    min_ts: Mapped[datetime] = mapped_column(comment="Earliest event time inside")
    max_ts: Mapped[datetime] = mapped_column(comment="Latest event time inside")
    columns: Mapped[bytes] = mapped_column(
        comment="The transactions in offset order as packed columns (flagpost.core.segment)"
    )


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
    features: Mapped[dict[str, float] | None] = mapped_column(
        JSONB,
        comment="Value of every feature by name, as the model saw it; null in rows from before "
        "this was kept",
    )


class FraudScore(Base):
    """What the model saw of a transaction, flagged or not."""

    __tablename__ = "fraud_scores"
    __table_args__ = (
        {
            "schema": "scores",
            "comment": "Every scored transaction with all that the model saw of it, flagged or "
            "not. Filled only where FLAGPOST_KEEP_SCORES=all, to compare with offline scoring.",
        },
    )

    transaction_id: Mapped[str] = mapped_column(
        primary_key=True, comment="Id of the transaction, as its sender gave it"
    )
    ts: Mapped[datetime] = mapped_column(comment="When the transaction happened")
    fraud_probability: Mapped[float] = mapped_column(
        comment="Probability of fraud by the model, from 0 to 1"
    )
    is_flagged: Mapped[bool] = mapped_column(comment="Whether it was flagged")
    features: Mapped[dict[str, float]] = mapped_column(
        JSONB, comment="Value of every feature by name, exact to the last bit"
    )
    model_version: Mapped[str] = mapped_column(comment="Model that scored it")
    scored_at: Mapped[datetime] = mapped_column(
        server_default=func.now(), comment="When it was scored"
    )


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
