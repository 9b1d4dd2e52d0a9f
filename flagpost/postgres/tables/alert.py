"""Schema `alert`: what a day's fraud score calls for."""

from sqlalchemy import CheckConstraint, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from flagpost.postgres.tables.base import Base


class AlertLevel(Base):
    """A level of alert, and what to do then."""

    __tablename__ = "levels"
    __table_args__ = (
        CheckConstraint("from_score BETWEEN 0 AND 1", name="score_in_range"),
        UniqueConstraint("from_score"),
        {
            "schema": "alert",
            "comment": "Levels of alert: a day has the one with the greatest from_score that its "
            "fraud_score reaches. Change the rows as you like.",
        },
    )

    alert_level: Mapped[str] = mapped_column(primary_key=True, comment="Name of the level")
    from_score: Mapped[float] = mapped_column(comment="Least fraud score of a day, from 0 to 1")
    action: Mapped[str] = mapped_column(comment="What to do on such a day")
