"""How far features are from the training data, as `flagpost drift` asks for it."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Engine,
    TableClause,
    cast,
    column,
    func,
    select,
    table,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by

from flagpost.postgres.driver_errors import translated
from flagpost.postgres.tables import HourlySpread

_KEY = ("model_version", "topic", "group", "feature")
_by_bin = table(
    "spread_by_bin",
    *map(column, (*_KEY, "hour", "bin", "n", "training_share")),
    schema="feature",
)
_daily = table(
    "daily_stability",
    *map(column, (*_KEY, "day", "n_sampled", "n_bins", "psi")),
    schema="feature",
)


@dataclass(frozen=True, slots=True)
class Counted:
    """Days of event time (UTC, both included) that a group has counted with one model."""

    topic: str
    group: str
    model_version: str
    first_day: date
    last_day: date


@dataclass(frozen=True, slots=True)
class Drift:
    """How far one feature is from the training data; `counts` and shares by bin."""

    feature: str
    counts: list[int]
    training_shares: list[float]
    psi: float

    @property
    def n_sampled(self) -> int:
        """How many transactions were counted."""
        return sum(self.counts)


@dataclass(frozen=True, slots=True)
class DailyDrift:
    """How far one feature was from the training data on one day."""

    feature: str
    day: date
    n_sampled: int
    n_bins: int
    psi: float


def last_counted(
    engine: Engine, topic: str, group: str, days: int, model_version: str | None = None
) -> Counted | None:
    """Find the last days that were counted; None if there are none. Blocks.

    Args:
        engine: of the database that the scorer writes to.
        topic: of the transactions.
        group: of the workers.
        days: how many, up to the last one in the stream's own time.
        model_version: by default the one that counted last.

    Raises:
        Unavailable: the database does not answer.
        SchemaOutdated: tables are missing.
    """
    latest = (
        select(HourlySpread.model_version, HourlySpread.hour)
        .where(HourlySpread.topic == topic, HourlySpread.group == group)
        .order_by(HourlySpread.hour.desc(), HourlySpread.model_version)
        .limit(1)
    )
    if model_version is not None:
        latest = latest.where(HourlySpread.model_version == model_version)
    with translated(), engine.connect() as connection:
        found = connection.execute(latest).one_or_none()
    if found is None:
        return None
    version, hour = found
    last_day = hour.astimezone(UTC).date()
    return Counted(topic, group, version, last_day - timedelta(days=days - 1), last_day)


def read_drift(engine: Engine, counted: Counted) -> list[Drift]:
    """Compare all days together with the training data, the most drifted feature first. Blocks.

    Raises:
        Unavailable: the database does not answer.
    """
    first = datetime.combine(counted.first_day, time(), UTC)
    end = datetime.combine(counted.last_day, time(), UTC) + timedelta(days=1)
    per_bin = (
        select(
            _by_bin.c.feature,
            _by_bin.c.bin,
            _by_bin.c.training_share,
            cast(func.sum(_by_bin.c.n), BigInteger).label("n"),
        )
        .where(*_of(counted, _by_bin), _by_bin.c.hour >= first, _by_bin.c.hour < end)
        .group_by(_by_bin.c.feature, _by_bin.c.bin, _by_bin.c.training_share)
        .subquery()
    )
    counts = func.array_agg(aggregate_order_by(per_bin.c.n, per_bin.c.bin))
    shares = func.array_agg(aggregate_order_by(per_bin.c.training_share, per_bin.c.bin))
    psi = func.feature.population_stability_index(counts, shares).label("psi")
    query = (
        select(per_bin.c.feature, counts, shares, psi)
        .group_by(per_bin.c.feature)
        .order_by(psi.desc(), per_bin.c.feature)
    )
    with translated(), engine.connect() as connection:
        return [Drift(*row) for row in connection.execute(query)]


def read_daily_drift(engine: Engine, counted: Counted) -> list[DailyDrift]:
    """Compare each day with the training data, the earliest first. Blocks.

    Raises:
        Unavailable: the database does not answer.
    """
    query = (
        select(_daily.c.feature, _daily.c.day, _daily.c.n_sampled, _daily.c.n_bins, _daily.c.psi)
        .where(
            *_of(counted, _daily), _daily.c.day.between(counted.first_day, counted.last_day)
        )
        .order_by(_daily.c.day, _daily.c.feature)
    )  # fmt: skip
    with translated(), engine.connect() as connection:
        return [DailyDrift(*row) for row in connection.execute(query)]


def _of(counted: Counted, view: TableClause) -> tuple[ColumnElement[bool], ...]:
    return (
        view.c.model_version == counted.model_version,
        view.c.topic == counted.topic,
        view.c.group == counted.group,
    )
