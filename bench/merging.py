"""Merging the rows of a journal, as a worker does it, but all at once."""

import time
from collections.abc import Iterable
from typing import NamedTuple

import psycopg

from flagpost.at_once import AtOnce
from flagpost.core.effects import Segment
from flagpost.core.state import State
from flagpost.events import Partition
from flagpost.merging import Merging
from flagpost.postgres.engine import create_engine
from flagpost.postgres.store import PostgresStore
from flagpost.settings import Settings

_WEIGH = """
    SELECT count(*), sum(length(columns)), pg_total_relation_size('stream.journal')
      FROM stream.journal
"""


class JournalSize(NamedTuple):
    """What a journal takes; the bytes on disk are those of the table with its indexes."""

    rows: int
    packed_bytes: int
    disk_bytes: int


class Merged(NamedTuple):
    """What merging a journal took, and what it saves.

    The seconds of folding are those of making a state of the rows before, and after.
    """

    size: JournalSize
    seconds: float
    fold_seconds: float
    fold_merged_seconds: float


def size_of(settings: Settings) -> JournalSize:
    """Weigh a journal as it is, with what deleted rows have left."""
    with psycopg.connect(settings.database_url.get_secret_value()) as database:
        [found] = database.execute(_WEIGH).fetchall()
        return JournalSize(*map(int, found))


def merge_all(settings: Settings) -> Merged:
    """Merge whatever a worker would merge, and weigh it without what deleted rows leave. Blocks."""
    engine = create_engine(settings.database_url.get_secret_value())
    partitions = [Partition(settings.topic, n) for n in range(settings.topic_partitions)]
    try:
        store = PostgresStore(engine, settings.group)
        before = list(store.load_segments(partitions, {}))
        seconds = _merge(store, before)
        after = list(store.load_segments(partitions, {}))
    finally:
        engine.dispose()
    with psycopg.connect(settings.database_url.get_secret_value(), autocommit=True) as database:
        database.execute("VACUUM FULL stream.journal")
    _fold_seconds(after)  # loads the kernels
    return Merged(size_of(settings), seconds, _fold_seconds(before), _fold_seconds(after))


def _merge(store: PostgresStore, segments: Iterable[Segment]) -> float:
    merging, began = Merging(store, AtOnce()), time.perf_counter()
    for segment in segments:
        merging.note(segment)
        merging.go_on()
    return time.perf_counter() - began


def _fold_seconds(segments: Iterable[Segment]) -> float:
    state, began = State(), time.perf_counter()
    for segment in segments:
        state.fold(segment)
    return time.perf_counter() - began
