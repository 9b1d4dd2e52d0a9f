"""Every step of every position, written down by the database and not by the worker.

Triggers on `stream.positions` add a row for each takeover and for each committed step, with the
name under which the session connected; the harness gives each process one of its own. So a worker
that moves a position in a wrong way, or moves one that is not its own, is seen whatever it says
about itself.

A step is made when its transaction is committed, not when its statement is executed: the server
has to run with `track_commit_timestamp`. It takes that time before its log is on disk and before
anybody sees the step, let alone is told that it is there.
"""

from dataclasses import dataclass
from datetime import datetime

import psycopg

from flagpost.core.effects import Counts
from flagpost.events import Partition

_CREATE = """
CREATE SCHEMA torture;
CREATE TABLE torture.takeovers (
    topic text, partition integer, epoch bigint, PRIMARY KEY (topic, partition, epoch),
    owner text NOT NULL DEFAULT current_setting('application_name'),
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TABLE torture.steps (
    step bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    transaction xid8 NOT NULL DEFAULT pg_current_xact_id(),
    writer text NOT NULL DEFAULT current_setting('application_name'),
    topic text NOT NULL, partition integer NOT NULL, epoch bigint NOT NULL,
    start_offset bigint NOT NULL, next_offset bigint NOT NULL,
    n_in bigint NOT NULL, n_clean bigint NOT NULL, n_flagged bigint NOT NULL,
    n_duplicate bigint NOT NULL, n_dead bigint NOT NULL
);
CREATE FUNCTION torture.note_takeover() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO torture.takeovers (topic, partition, epoch)
    VALUES (NEW.topic, NEW.partition, NEW.epoch);
    RETURN NULL;
END $$;
CREATE TRIGGER note_takeover AFTER INSERT OR UPDATE OF epoch ON stream.positions FOR EACH ROW
    EXECUTE FUNCTION torture.note_takeover();
CREATE FUNCTION torture.note_step() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO torture.steps (topic, partition, epoch, start_offset, next_offset,
                               n_in, n_clean, n_flagged, n_duplicate, n_dead)
    VALUES (NEW.topic, NEW.partition, NEW.epoch, OLD.next_offset, NEW.next_offset,
            NEW.n_in - OLD.n_in, NEW.n_clean - OLD.n_clean, NEW.n_flagged - OLD.n_flagged,
            NEW.n_duplicate - OLD.n_duplicate, NEW.n_dead - OLD.n_dead);
    RETURN NULL;
END $$;
CREATE TRIGGER note_step AFTER UPDATE ON stream.positions FOR EACH ROW
    WHEN ((OLD.next_offset, OLD.n_in, OLD.n_clean, OLD.n_flagged, OLD.n_duplicate, OLD.n_dead)
       <> (NEW.next_offset, NEW.n_in, NEW.n_clean, NEW.n_flagged, NEW.n_duplicate, NEW.n_dead))
    EXECUTE FUNCTION torture.note_step();
"""

_TAKEOVERS = "SELECT topic, partition, owner, at FROM torture.takeovers ORDER BY epoch"

_STEPS = """
SELECT topic, partition, owner, writer, pg_xact_commit_timestamp(transaction::xid),
       min(start_offset), max(next_offset), sum(n_in)::bigint, sum(n_clean)::bigint,
       sum(n_flagged)::bigint, sum(n_duplicate)::bigint, sum(n_dead)::bigint
FROM torture.steps s JOIN torture.takeovers USING (topic, partition, epoch)
GROUP BY transaction, topic, partition, owner, writer ORDER BY min(step)
"""


@dataclass(frozen=True, slots=True)
class Takeover:
    """A session has begun a new epoch of a partition."""

    partition: Partition
    owner: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Step:
    """A move of a position, committed `at`; who wrote it should be who owned the partition."""

    partition: Partition
    owner: str
    writer: str
    at: datetime
    start_offset: int
    next_offset: int
    counts: Counts


def open_ledger(database_url: str) -> None:
    """Begin to write down the steps of a database that has all tables."""
    with psycopg.connect(database_url) as connection:
        connection.execute(_CREATE)


def read_takeovers(database_url: str) -> list[Takeover]:
    """Return all takeovers; those of a partition are in their order."""
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(_TAKEOVERS).fetchall()
    return [Takeover(Partition(topic, number), *rest) for topic, number, *rest in rows]


def owners_now(database_url: str) -> set[str]:
    """Return who owns partitions."""
    latest = {takeover.partition: takeover.owner for takeover in read_takeovers(database_url)}
    return set(latest.values())


def read_steps(database_url: str) -> list[Step]:
    """Return all steps; those of a partition are in the order of their commits.

    What a transaction did to a position is one step, also where it counted again what it had
    counted before: labels that turned out to be known.
    """
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(_STEPS).fetchall()
    return [
        Step(Partition(topic, number), owner, writer, at, start, end, Counts(*counts))
        for topic, number, owner, writer, at, start, end, *counts in rows
    ]
