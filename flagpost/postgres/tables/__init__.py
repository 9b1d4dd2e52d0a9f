"""What is stored, as SQLAlchemy models by schema; psql shows the comments with the tables."""

from flagpost.postgres.tables.analyst import MaskingKey
from flagpost.postgres.tables.base import Base
from flagpost.postgres.tables.feature import HourlySpread, TrainingSpread
from flagpost.postgres.tables.label import FraudLabel
from flagpost.postgres.tables.replays import DeadLetterReplay
from flagpost.postgres.tables.scores import FraudScore, FraudTransaction
from flagpost.postgres.tables.stream import JournalSegment, StreamCheckpoint, StreamPosition

__all__ = [
    "Base",
    "DeadLetterReplay",
    "FraudLabel",
    "FraudScore",
    "FraudTransaction",
    "HourlySpread",
    "JournalSegment",
    "MaskingKey",
    "StreamCheckpoint",
    "StreamPosition",
    "TrainingSpread",
]
