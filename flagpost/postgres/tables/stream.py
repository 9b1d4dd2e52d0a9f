"""Schema `stream`: how far the stream is processed, and its state."""

from datetime import datetime

from sqlalchemy import CheckConstraint, Index, func
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import Integer

from flagpost.postgres.tables.base import Base


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
        server_default=func.now(), comment="When the position last moved"
    )
    topic_id: Mapped[str | None] = mapped_column(
        comment="Kafka's id of the topic that the offsets are of; one made again has another. Null "
        "if no member has taken the partition over since this column exists"
    )
    owner: Mapped[str | None] = mapped_column(
        comment="Host and process id of who took it over last"
    )
    owned_since: Mapped[datetime | None] = mapped_column(comment="When that was")
    last_error: Mapped[str | None] = mapped_column(
        comment="What the owner last waited for, or what ended it"
    )
    last_error_at: Mapped[datetime | None] = mapped_column(comment="When that was noted")


class StreamCheckpoint(Base):
    """A position as it was before an hour of event time began."""

    __tablename__ = "checkpoints"
    __table_args__ = (
        {
            "schema": "stream",
            "comment": "Positions as they were before an hour of event time began: where one can "
            "rewind to.",
        },
    )

    topic: Mapped[str] = mapped_column(primary_key=True, comment="Kafka topic")
    partition: Mapped[int] = mapped_column(
        Integer, primary_key=True, autoincrement=False, comment="Partition of the topic"
    )
    group: Mapped[str] = mapped_column(
        primary_key=True, comment="Consumer group; groups share no state"
    )
    next_offset: Mapped[int] = mapped_column(
        primary_key=True, autoincrement=False, comment="Offset of the next message then"
    )
    event_time: Mapped[datetime | None] = mapped_column(
        comment="Latest event time seen then. Null before the first transaction"
    )
    next_event_time: Mapped[datetime | None] = mapped_column(
        comment="Event time that the stream came to next; null if only bad messages came"
    )
    n_in: Mapped[int] = mapped_column(comment="n_in of the position then")
    n_clean: Mapped[int] = mapped_column(comment="n_clean of the position then")
    n_flagged: Mapped[int] = mapped_column(comment="n_flagged of the position then")
    n_duplicate: Mapped[int] = mapped_column(comment="n_duplicate of the position then")
    n_dead: Mapped[int] = mapped_column(comment="n_dead of the position then")


class JournalSegment(Base):
    """What one batch accepted of a partition, or several batches that were merged."""

    __tablename__ = "journal"
    __table_args__ = (
        CheckConstraint("end_offset > start_offset", name="not_empty"),
        Index(None, "topic", "partition", "group", "max_ts"),
        {
            "schema": "stream",
            "comment": "Accepted transactions and labels, packed, a row per batch and partition or "
            "several that were merged. Customer and terminal histories are rebuilt from it after a "
            "restart or a rebalance.",
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
        primary_key=True, autoincrement=False, comment="Offset of the first message"
    )
    end_offset: Mapped[int] = mapped_column(
        comment="Offset behind the last message; duplicates and dead letters leave gaps inside"
    )
    min_ts: Mapped[datetime] = mapped_column(comment="Earliest event time inside")
    max_ts: Mapped[datetime] = mapped_column(comment="Latest event time inside")
    columns: Mapped[bytes] = mapped_column(
        comment="The transactions in offset order as packed columns (flagpost.core.segment)"
    )
