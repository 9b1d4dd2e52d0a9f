"""The store of the worker: one transaction for everything that a batch did."""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime

import structlog
from sqlalchemy import Connection, Engine

from flagpost.core.effects import Counts, Effects, Position, Segment
from flagpost.core.store import Clock
from flagpost.events import Partition
from flagpost.postgres import (
    batch,
    checkpoints,
    journal,
    kept_scores,
    merging,
    positions,
)
from flagpost.postgres.batch import Written
from flagpost.postgres.driver_errors import translated
from flagpost.postgres.kept_session import KeptSession
from flagpost.postgres.time_limit import PATIENCE, TimeLimit, Wait
from flagpost.process_name import process_name

log = structlog.get_logger()


class PostgresStore:
    """The `Store` of one consumer group in PostgreSQL; `core.store` says what it raises.

    It keeps a session for commits and nothing else. Each call is one transaction, but for the
    rehearsal. Two threads may call it.
    """

    def __init__(self, engine: Engine, group: str, time_limit: TimeLimit = PATIENCE) -> None:
        """Take the engine of a database; nothing connects yet."""
        self._engine = engine
        self._session = KeptSession(engine, batch.WRITE, time_limit)
        self._group = group
        self._time_limit = time_limit
        self._owner = process_name()

    def rehearse(self) -> None:
        """Execute the statements of a commit on nothing: both sides prepare them, and keep that."""
        self._send(Effects([]))()  # on a session of its own
        with self._transaction() as connection:
            checkpoints.keep(connection, self._group, [])
            batch.write(connection, self._group, Effects([]))

    def acquire(self, first_offsets: Mapping[Partition, int]) -> dict[Partition, Position]:
        """Take partitions over, after a commit of their former owner that is under way."""
        with self._transaction() as connection:
            return positions.acquire(connection, self._group, self._owner, first_offsets)

    def identify(self, topic_ids: Mapping[Partition, str]) -> dict[Partition, str]:
        """Note of which topic these positions are, where it is not known yet."""
        with self._transaction() as connection:
            return positions.identify(connection, self._group, topic_ids)

    def load_segments(
        self, partitions: Collection[Partition], since_event_time_us: Mapping[Partition, int]
    ) -> Iterator[Segment]:
        """Stream the journal from the given times on; holds a connection until it is exhausted."""
        with self._watched() as (connection, wait):
            yield from wait.each(
                journal.load(connection, self._group, partitions, since_event_time_us)
            )

    def recall_segments(
        self, partition: Partition, first_us: int, last_us: int
    ) -> Iterator[Segment]:
        """Stream what overlaps a span of event time; holds a connection until it is exhausted."""
        with self._watched() as (connection, wait):
            yield from wait.each(
                journal.recall(connection, self._group, partition, first_us, last_us)
            )

    def segments_from(self, offsets: Mapping[Partition, int]) -> Iterator[Segment]:
        """Stream what was added since; holds a connection until it is exhausted."""
        with self._watched() as (connection, wait):
            yield from wait.each(journal.read_from(connection, self._group, offsets))

    def clocks(self, topics: Collection[str]) -> dict[Partition, Clock]:
        """Return how far the group is in each partition of the topics."""
        with self._transaction() as connection:
            return positions.read_clocks(connection, self._group, topics)

    def announce(
        self, waiting_us: Mapping[Partition, int], epochs: Mapping[Partition, int]
    ) -> None:
        """Tell the other members where our partitions wait."""
        with self._transaction() as connection:
            positions.announce(connection, self._group, waiting_us, epochs)

    def commit(self, effects: Effects) -> Counts:
        """Write all effects in one transaction."""
        return self.begin_commit(effects)()

    def begin_commit(self, effects: Effects) -> Callable[[], Counts]:
        """Send all effects as one statement; where that will not do, commit a transaction."""
        if effects.checkpoints or effects.kept:
            counts = self._commit_in_transaction(effects)
            return lambda: counts
        return self._send(effects)

    def _send(self, effects: Effects) -> Callable[[], Counts]:
        with translated():
            rows = self._session.send(batch.values_of(self._group, effects))

        def await_counts() -> Counts:
            with translated():
                found = rows()
            return _counted(effects, batch.written(found, effects))

        return await_counts

    def _commit_in_transaction(self, effects: Effects) -> Counts:
        """Keep the positions as they are first; a zombie's copies are rolled back with the rest."""
        with self._transaction() as connection:
            if effects.checkpoints:
                checkpoints.keep(connection, self._group, effects.checkpoints)
            written = batch.write(connection, self._group, effects)
            if effects.kept:
                kept_scores.add(connection, effects.kept)
        return _counted(effects, written)

    def positions(self, topic: str) -> dict[Partition, Position]:
        """Return how far the group is in each partition of a topic."""
        with self._transaction() as connection:
            return positions.read(connection, self._group, topic)

    def totals(self, topic: str) -> dict[Partition, Counts]:
        """Return what became of all messages so far, for each partition of a topic."""
        with self._transaction() as connection:
            return positions.read_totals(connection, self._group, topic)

    def forget_segments(self, reached: Mapping[Partition, Position], kept_us: int) -> int:
        """Delete what is old of our partitions; a rewind waits, no commit and no takeover does."""
        with self._transaction() as connection:
            epochs = positions.hold(connection, self._group, reached)
            before = {
                partition: at.event_time_us - kept_us
                for partition, at in reached.items()
                if at.epoch == epochs.get(partition) and at.event_time_us is not None
            }
            checkpoints.forget(connection, self._group, before)
            return journal.forget(connection, self._group, before)

    def merge_segments(self, partition: Partition, start_offset: int, end_offset: int) -> int:
        """Put one row in the place of many; whoever rewinds waits, and nobody else."""
        with self._transaction() as connection:
            return merging.merge_rows(connection, self._group, partition, start_offset, end_offset)

    def note_error(self, error: str, at: datetime) -> None:
        """Note it with the partitions that this process was the last to take over."""
        with self._transaction() as connection:
            positions.note_error(connection, self._group, self._owner, error, at)

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with self._watched() as (connection, _):
            yield connection

    @contextmanager
    def _watched(self) -> Iterator[tuple[Connection, Wait]]:
        with (
            translated(),
            self._engine.connect() as connection,
            self._time_limit.on(connection.connection.dbapi_connection) as wait,
            connection.begin(),
        ):
            yield connection, wait


def _counted(effects: Effects, written: Written) -> Counts:
    """Count what became of the messages, now that it is known what had been stored already."""
    n_known, n_left_out = written
    if n_left_out:
        log.warning("flagged transactions left out: their ids are taken", n_left_out=n_left_out)
    return effects.counts + Counts(n_clean=-n_known, n_duplicate=n_known)
