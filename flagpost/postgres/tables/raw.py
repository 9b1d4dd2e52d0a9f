"""Schema `raw`: what others tell, as they tell it."""

from datetime import date, datetime

from sqlalchemy import CheckConstraint, func
from sqlalchemy.orm import Mapped, mapped_column

from flagpost.postgres.tables.base import Base


class MarketingDay(Base):
    """Impressions and clicks of a day."""

    __tablename__ = "marketing_daily"
    __table_args__ = (
        CheckConstraint("clicks BETWEEN 0 AND impressions", name="clicks_of_impressions"),
        {
            "schema": "raw",
            "comment": "Impressions and clicks of a day, loaded by flagpost load-marketing.",
        },
    )

    event_day: Mapped[date] = mapped_column(primary_key=True, comment="Day, UTC")
    impressions: Mapped[int] = mapped_column(comment="How often something was shown")
    clicks: Mapped[int] = mapped_column(comment="How often it was clicked on")
    loaded_at: Mapped[datetime] = mapped_column(
        server_default=func.now(), comment="When this was loaded last"
    )
