"""The databases that the contract suite runs on: one in memory, PostgreSQL through both drivers."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from sqlalchemy import Engine, Row, select

from flagpost.core.effects import FlaggedTransaction, KeptScore, Label
from flagpost.core.store import Store
from flagpost.events import Partition
from flagpost.postgres.engine import create_engine
from flagpost.postgres.store import PostgresStore
from flagpost.postgres.tables import (
    FraudLabel,
    FraudScore,
    FraudTransaction,
    HourlySpread,
    HourlyTotal,
)
from flagpost.postgres.times import to_us
from tests.contract.memory_store import Database, MemoryStore, SpreadKey, TotalKey


class Backend(Protocol):
    def store(self, group: str = "scorers") -> Store: ...

    def flagged(self) -> dict[str, FlaggedTransaction]: ...

    def labels(self) -> list[Label]: ...

    def kept(self) -> dict[str, KeptScore]: ...

    def spread(self) -> dict[SpreadKey, list[int]]: ...

    def totals_by_hour(self) -> dict[TotalKey, tuple[int, int, int]]: ...


class MemoryBackend:
    def __init__(self) -> None:
        self._database = Database()

    def store(self, group: str = "scorers") -> Store:
        return MemoryStore(self._database, group)

    def flagged(self) -> dict[str, FlaggedTransaction]:
        return self._database.flagged

    def labels(self) -> list[Label]:
        return [label for _, label in sorted(self._database.labels.items())]

    def kept(self) -> dict[str, KeptScore]:
        return self._database.kept

    def spread(self) -> dict[SpreadKey, list[int]]:
        return self._database.spread

    def totals_by_hour(self) -> dict[TotalKey, tuple[int, int, int]]:
        return self._database.totals_by_hour


class PostgresBackend:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def store(self, group: str = "scorers") -> Store:
        return PostgresStore(self._engine, group)

    def flagged(self) -> dict[str, FlaggedTransaction]:
        with self._engine.connect() as connection:
            rows = connection.execute(select(FraudTransaction.__table__))
            return {row.transaction_id: _flagged(row) for row in rows}

    def labels(self) -> list[Label]:
        in_order = FraudLabel.transaction_id, FraudLabel.known_at, FraudLabel.is_fraud
        with self._engine.connect() as connection:
            rows = connection.execute(select(FraudLabel.__table__).order_by(*in_order))
            return [_label(row) for row in rows]

    def kept(self) -> dict[str, KeptScore]:
        with self._engine.connect() as connection:
            rows = connection.execute(select(FraudScore.__table__))
            return {row.transaction_id: _kept(row) for row in rows}

    def spread(self) -> dict[SpreadKey, list[int]]:
        with self._engine.connect() as connection:
            rows = connection.execute(select(HourlySpread.__table__))
            return {_spread_key(row): row.counts for row in rows}

    def totals_by_hour(self) -> dict[TotalKey, tuple[int, int, int]]:
        with self._engine.connect() as connection:
            rows = connection.execute(select(HourlyTotal.__table__))
            return {key: sums for row in rows for key, sums in _totals(row)}


@contextmanager
def postgres_backend(database_url: str, driver: str) -> Iterator[PostgresBackend]:
    engine = create_engine(database_url.replace("postgresql://", f"postgresql+{driver}://"))
    try:
        yield PostgresBackend(engine)
    finally:
        engine.dispose()


def _flagged(row: Row[tuple[object, ...]]) -> FlaggedTransaction:
    return FlaggedTransaction(
        transaction_id=row.transaction_id,
        user_id=row.user_id,
        terminal_id=row.terminal_id,
        event_time=row.ts,
        amount_cents=int(row.amount.scaleb(2)),
        fraud_probability=row.fraud_probability,
        risk_level=row.risk_level,
        reasons=row.reasons,
        model_version=row.model_version,
        partition=Partition(row.topic, row.partition),
        offset=row.kafka_offset,
        features=row.features,
    )


def _kept(row: Row[tuple[object, ...]]) -> KeptScore:
    return KeptScore(
        transaction_id=row.transaction_id,
        user_id=row.user_id,
        terminal_id=row.terminal_id,
        event_time=row.ts,
        fraud_probability=row.fraud_probability,
        is_flagged=row.is_flagged,
        features=row.features,
        model_version=row.model_version,
        partition=Partition(row.topic, row.partition),
        offset=row.kafka_offset,
    )


def _label(row: Row[tuple[object, ...]]) -> Label:
    return Label(
        transaction_id=row.transaction_id,
        user_id=row.user_id,
        terminal_id=row.terminal_id,
        event_time=row.ts,
        is_fraud=row.is_fraud,
        known_at=row.known_at,
        source=row.source,
        partition=Partition(row.topic, row.partition),
        offset=row.kafka_offset,
    )


def _spread_key(row: Row[tuple[object, ...]]) -> SpreadKey:
    partition = Partition(row.topic, row.partition)
    return row.group, partition, to_us(row.hour), row.model_version


def _totals(row: Row[tuple[object, ...]]) -> Iterator[tuple[TotalKey, tuple[int, int, int]]]:
    partition = Partition(row.topic, row.partition)
    of_all = row.group, partition, to_us(row.counted_in), row.model_version
    sums = zip(row.tx_count, row.amount_cents, row.fraud_probability_millionths, strict=True)
    for hour, reason, each in zip(row.hour, row.fraud_reason, sums, strict=True):
        yield (*of_all, hour, reason), each
