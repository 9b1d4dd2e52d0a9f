"""The databases that the contract suite runs on: one in memory, PostgreSQL through both drivers."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from sqlalchemy import Engine, Row, select

from flagpost.core.effects import FlaggedTransaction
from flagpost.core.store import Store
from flagpost.events import Partition
from flagpost.postgres.engine import create_engine
from flagpost.postgres.store import PostgresStore
from flagpost.postgres.tables import FraudTransaction
from tests.contract.memory_store import Database, MemoryStore


class Backend(Protocol):
    def store(self, group: str = "scorers") -> Store: ...

    def flagged(self) -> dict[str, FlaggedTransaction]: ...


class MemoryBackend:
    def __init__(self) -> None:
        self._database = Database()

    def store(self, group: str = "scorers") -> Store:
        return MemoryStore(self._database, group)

    def flagged(self) -> dict[str, FlaggedTransaction]:
        return self._database.flagged


class PostgresBackend:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def store(self, group: str = "scorers") -> Store:
        return PostgresStore(self._engine, group)

    def flagged(self) -> dict[str, FlaggedTransaction]:
        with self._engine.connect() as connection:
            rows = connection.execute(select(FraudTransaction.__table__))
            return {row.transaction_id: _flagged(row) for row in rows}


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
    )
