"""Every step of every position, written down by the database and not by the worker.

A trigger on `stream.positions` adds a row for each committed step. So a worker that moves a
position in a wrong way, or moves one that is not its own, is seen whatever it says about itself.
"""

from dataclasses import dataclass

import psycopg

from flagpost.core.effects import Counts
from flagpost.events import Partition

_CREATE = """
CREATE SCHEMA torture;
CREATE TABLE torture.steps (
    step bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    transaction xid8 NOT NULL DEFAULT pg_current_xact_id(),
    topic text NOT NULL, partition integer NOT NULL, epoch bigint NOT NULL,
    start_offset bigint NOT NULL, next_offset bigint NOT NULL,
    n_in bigint NOT NULL, n_clean bigint NOT NULL, n_flagged bigint NOT NULL,
    n_duplicate bigint NOT NULL, n_dead bigint NOT NULL
);
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
    WHEN ((OLD.next_offset, OLD.n_in, OLD.n_clean) <> (NEW.next_offset, NEW.n_in, NEW.n_clean))
    EXECUTE FUNCTION torture.note_step();
"""

_READ = """
SELECT topic, partition, epoch, min(start_offset), max(next_offset), sum(n_in)::bigint,
       sum(n_clean)::bigint, sum(n_flagged)::bigint, sum(n_duplicate)::bigint, sum(n_dead)::bigint
FROM torture.steps GROUP BY transaction, topic, partition, epoch ORDER BY min(step)
"""


@dataclass(frozen=True, slots=True)
class Step:
    """A committed move of a position; the epoch is that of the partition's owner."""

    partition: Partition
    epoch: int
    start_offset: int
    next_offset: int
    counts: Counts


def open_ledger(database_url: str) -> None:
    """Begin to write down the steps of a database that has all tables."""
    with psycopg.connect(database_url) as connection:
        connection.execute(_CREATE)


def read_ledger(database_url: str) -> list[Step]:
    """Return all steps; those of a partition are in the order of their commits.

    What a transaction did to a position is one step, also where it counted again what it had
    counted before: labels that turned out to be known.
    """
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(_READ).fetchall()
    return [
        Step(Partition(topic, number), epoch, start, end, Counts(*counts))
        for topic, number, epoch, start, end, *counts in rows
    ]
