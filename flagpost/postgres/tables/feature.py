"""Schema `feature`: totals of all transactions, and how their features spread."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Text
from sqlalchemy.dialects.postgresql import ARRAY, DOUBLE_PRECISION
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import Integer

from flagpost.postgres.tables.base import Base


class HourlySpread(Base):
    """How many sampled transactions of an hour fell into each bin."""

    __tablename__ = "hourly_spread"
    __table_args__ = (
        CheckConstraint("array_position(counts, NULL) IS NULL", name="counts_complete"),
        {
            "schema": "feature",
            "comment": "Sampled transactions by hour and bin, the features one behind the other; "
            "feature.training_spread says which count is which. It commits together with the "
            "decisions.",
        },
    )

    hour: Mapped[datetime] = mapped_column(
        primary_key=True, comment="Full hour of event time that the stream had come to"
    )
    model_version: Mapped[str] = mapped_column(
        primary_key=True, comment="Model whose bins these are"
    )
    topic: Mapped[str] = mapped_column(primary_key=True, comment="Kafka topic")
    partition: Mapped[int] = mapped_column(
        Integer, primary_key=True, autoincrement=False, comment="Partition of the topic"
    )
    group: Mapped[str] = mapped_column(
        primary_key=True, comment="Consumer group; groups share no state"
    )
    counts: Mapped[list[int]] = mapped_column(
        ARRAY(Integer),
        comment="Transactions in each bin; those of one feature add up to the sample",
    )


class TrainingSpread(Base):
    """How a feature spread over the training data of a model."""

    __tablename__ = "training_spread"
    __table_args__ = (
        CheckConstraint("cardinality(shares) = cardinality(edges) + 1", name="share_each_bin"),
        {
            "schema": "feature",
            "comment": "Bins of each model that a worker has started with, and what share of the "
            "training data each held. The fraud probability is counted like a feature.",
        },
    )

    model_version: Mapped[str] = mapped_column(primary_key=True, comment="Model that was trained")
    feature: Mapped[str] = mapped_column(
        primary_key=True, comment="Name of the feature, or fraud_probability"
    )
    first_count: Mapped[int] = mapped_column(
        Integer, comment="Place of the first bin in feature.hourly_spread.counts, from 1 on"
    )
    edges: Mapped[list[float]] = mapped_column(
        ARRAY(DOUBLE_PRECISION),
        comment="Where a bin ends and the next begins, ascending; a value on an edge is below it",
    )
    shares: Mapped[list[float]] = mapped_column(
        ARRAY(DOUBLE_PRECISION), comment="Share of the training data in each bin, from 0 to 1"
    )


class HourlyTotal(Base):
    """Totals of what a partition brought in an hour of the stream."""

    __tablename__ = "hourly_totals"
    __table_args__ = (
        CheckConstraint(
            "cardinality(hour) = ALL (ARRAY[cardinality(fraud_reason), cardinality(tx_count),"
            " cardinality(amount_cents), cardinality(fraud_probability_millionths)])",
            name="columns_even",
        ),
        {
            "schema": "feature",
            "comment": "Totals of all accepted transactions, by the hour in which they happened "
            "and by what was found in them: the columns of each row's cells are arrays. They "
            "commit together with the decisions. feature.reported_totals has a row for each cell.",
        },
    )

    counted_in: Mapped[datetime] = mapped_column(
        primary_key=True, comment="Full hour of event time that the stream had come to"
    )
    topic: Mapped[str] = mapped_column(primary_key=True, comment="Kafka topic")
    partition: Mapped[int] = mapped_column(
        Integer, primary_key=True, autoincrement=False, comment="Partition of the topic"
    )
    group: Mapped[str] = mapped_column(
        primary_key=True, comment="Consumer group; groups share no state"
    )
    model_version: Mapped[str] = mapped_column(primary_key=True, comment="Model that scored them")
    hour: Mapped[list[int]] = mapped_column(
        ARRAY(BigInteger), comment="Hour in which the transactions happened, counted from 1970"
    )
    fraud_reason: Mapped[list[str]] = mapped_column(
        ARRAY(Text), comment="Strongest reason they were flagged for; NORMAL: they were not"
    )
    tx_count: Mapped[list[int]] = mapped_column(ARRAY(BigInteger), comment="Transactions")
    amount_cents: Mapped[list[int]] = mapped_column(
        ARRAY(BigInteger), comment="Sum of their amounts, in cents"
    )
    fraud_probability_millionths: Mapped[list[int]] = mapped_column(
        ARRAY(BigInteger),
        comment="Sum of their fraud probabilities, each rounded to a millionth",
    )


class ReportedGroup(Base):
    """Which of several consumer groups the totals of a topic are taken from."""

    __tablename__ = "reported_groups"
    __table_args__ = (
        {
            "schema": "feature",
            "comment": "Where several groups score one topic: the one whose totals are shown. "
            "Without a row it is the one that has accepted the most transactions.",
        },
    )

    topic: Mapped[str] = mapped_column(primary_key=True, comment="Kafka topic")
    group: Mapped[str] = mapped_column(comment="Consumer group")
