"""What is stored, as SQLAlchemy models by schema; psql shows the comments with the tables."""

from flagpost.postgres.tables.alert import AlertLevel
from flagpost.postgres.tables.analyst import MaskingKey
from flagpost.postgres.tables.base import Base
from flagpost.postgres.tables.feature import (
    HourlySpread,
    HourlyTotal,
    ReportedGroup,
    TrainingSpread,
)
from flagpost.postgres.tables.label import FraudLabel
from flagpost.postgres.tables.raw import MarketingDay
from flagpost.postgres.tables.replays import DeadLetterReplay
from flagpost.postgres.tables.scores import FraudScore, FraudTransaction, ScoreRetention
from flagpost.postgres.tables.stream import JournalSegment, StreamCheckpoint, StreamPosition

__all__ = [
    "AlertLevel",
    "Base",
    "DeadLetterReplay",
    "FraudLabel",
    "FraudScore",
    "FraudTransaction",
    "HourlySpread",
    "HourlyTotal",
    "JournalSegment",
    "MarketingDay",
    "MaskingKey",
    "ReportedGroup",
    "ScoreRetention",
    "StreamCheckpoint",
    "StreamPosition",
    "TrainingSpread",
]
