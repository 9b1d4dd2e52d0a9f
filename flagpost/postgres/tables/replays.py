"""Schema `stream`: which dead letters were sent again."""

from datetime import datetime

from sqlalchemy import func
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import Integer

from flagpost.postgres.tables.base import Base


class DeadLetterReplay(Base):
    """A dead letter that was sent to its topic again, or is going to be."""

    __tablename__ = "dead_letter_replays"
    __table_args__ = (
        {
            "schema": "stream",
            "comment": "Dead letters that were sent to their topic again, each once.",
        },
    )

    topic: Mapped[str] = mapped_column(primary_key=True, comment="Kafka topic of the bad message")
    partition: Mapped[int] = mapped_column(
        Integer, primary_key=True, autoincrement=False, comment="Partition of the bad message"
    )
    kafka_offset: Mapped[int] = mapped_column(
        primary_key=True, autoincrement=False, comment="Offset of the bad message"
    )
    edited_key: Mapped[bytes | None] = mapped_column(
        comment="Key that is sent instead; null: as it was"
    )
    edited_value: Mapped[bytes | None] = mapped_column(
        comment="Value that is sent instead; null: as it was"
    )
    claimed_by: Mapped[str] = mapped_column(comment="Host and process id of who replays it")
    claimed_at: Mapped[datetime] = mapped_column(
        server_default=func.now(), comment="When it was claimed, which is before it is sent"
    )
    replayed_at: Mapped[datetime | None] = mapped_column(
        comment="When the broker had acknowledged it; null: perhaps sent, perhaps not"
    )
