"""Merging beside commits, takeovers, rewinds, readers and other merges, at the same time."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, text

from flagpost.core.effects import Position
from flagpost.errors import Unavailable
from flagpost.events import Partition
from flagpost.postgres import merging
from flagpost.postgres.store import PostgresStore
from tests.contract.packed import commit, packed
from tests.integration.conftest import Connect
from tests.integration.rewinds import rewind_to
from tests.integration.sessions import before_statement, wait_until_blocked

A, B, C = (Partition("transactions", number) for number in range(3))
GROUP = "scorers"


@pytest.fixture
def store(connect: Connect) -> PostgresStore:
    """Four rows of one message each; the third was written at the beginning of an hour."""
    store = PostgresStore(connect(), GROUP)
    store.acquire({A: 0})
    for start in range(4):
        commit(store, packed(A, start, start + 1), opens_hour=start in (0, 2))
    return store


def bounds(store: PostgresStore) -> list[tuple[int, int]]:
    return [(each.start_offset, each.end_offset) for each in store.load_segments([A], {})]


def test_no_commit_and_no_takeover_waits_for_a_merge(
    connect: Connect, store: PostgresStore
) -> None:
    with connect().begin() as under_way:
        merging.merge_rows(under_way, GROUP, A, 0, 4)

        commit(store, packed(A, 4, 5))
        assert PostgresStore(connect(), GROUP).acquire({A: 0})[A].epoch == 2
        store.acquire({A: 0})
        commit(store, packed(A, 5, 6), opens_hour=True)

        assert bounds(store) == [(n, n + 1) for n in range(6)]
    assert bounds(store) == [(0, 2), (2, 4), (4, 5), (5, 6)]


def test_of_two_merges_at_once_the_second_changes_nothing(
    connect: Connect, store: PostgresStore, pool: ThreadPoolExecutor
) -> None:
    with connect().begin() as under_way:
        merging.merge_rows(under_way, GROUP, A, 0, 4)
        second = pool.submit(store.merge_segments, A, 0, 4)
        wait_until_blocked(connect())

    assert second.result(timeout=10) == 0
    assert list(store.load_segments([A], {})) == [packed(A, 0, 2), packed(A, 2, 4)]


def test_a_merge_that_meets_another_half_way_changes_nothing(
    connect: Connect, store: PostgresStore, pool: ThreadPoolExecutor
) -> None:
    commit(store, packed(A, 4, 5))
    with connect().begin() as under_way:
        merging.merge_rows(under_way, GROUP, A, 2, 4)
        second = pool.submit(store.merge_segments, A, 0, 5)
        wait_until_blocked(connect())
    with pytest.raises(Unavailable, match="somebody else"):
        second.result(timeout=10)

    assert bounds(store) == [(0, 1), (1, 2), (2, 4), (4, 5)]
    assert store.merge_segments(A, 0, 5) == 2
    assert list(store.load_segments([A], {})) == [packed(A, 0, 2), packed(A, 2, 5)]


def test_a_rewind_waits_for_a_merge_and_removes_what_it_has_merged(
    connect: Connect, store: PostgresStore, pool: ThreadPoolExecutor
) -> None:
    with connect().begin() as under_way:
        merging.merge_rows(under_way, GROUP, A, 0, 4)
        rewound = pool.submit(rewind_to, connect(), GROUP, A, 2)
        wait_until_blocked(connect())

    assert rewound.result(timeout=10) == 1
    assert bounds(store) == [(0, 2)]
    assert store.positions("transactions")[A].next_offset == 2


def test_a_merge_waits_for_a_rewind_and_merges_what_that_left(
    connect: Connect, store: PostgresStore, pool: ThreadPoolExecutor
) -> None:
    """A member that was frozen before its merge wakes up in the middle of a rewind."""
    rewinding, merges = connect(), []

    def merge() -> None:
        merges.append(pool.submit(store.merge_segments, A, 0, 4))
        wait_until_blocked(connect())

    before_statement(rewinding, "DELETE FROM stream.journal", merge)

    assert rewind_to(rewinding, GROUP, A, 2) == 2

    assert [each.result(timeout=10) for each in merges] == [1]
    assert list(store.load_segments([A], {})) == [packed(A, 0, 2)]


def test_a_row_that_goes_away_meanwhile_leaves_the_others(
    connect: Connect, store: PostgresStore, pool: ThreadPoolExecutor
) -> None:
    with connect().begin() as under_way:
        under_way.execute(text("DELETE FROM stream.journal WHERE start_offset = 0"))
        merge = pool.submit(store.merge_segments, A, 0, 4)
        wait_until_blocked(connect())
    with pytest.raises(Unavailable):
        merge.result(timeout=10)

    assert bounds(store) == [(1, 2), (2, 3), (3, 4)]


def test_rows_that_stay_alone_are_not_written_again(connect: Connect) -> None:
    """Those of a slow stream, one an hour, are looked at whenever somebody loads them."""
    store = PostgresStore(connect(), GROUP)
    store.acquire({A: 0})
    for start in range(4):
        commit(store, packed(A, start, start + 1), opens_hour=True)
    before = writers(connect())

    assert store.merge_segments(A, 0, 4) == 0

    assert writers(connect()) == before


def writers(engine: Engine) -> list[tuple[int, str]]:
    """Return which transaction wrote each row."""
    query = text("SELECT start_offset, xmin::text FROM stream.journal ORDER BY 1")
    with engine.connect() as connection:
        return [(offset, writer) for offset, writer in connection.execute(query)]


def test_a_reader_sees_the_rows_of_when_it_began(connect: Connect, store: PostgresStore) -> None:
    for start in range(4, 60):  # more than are fetched at once
        commit(store, packed(A, start, start + 1))
    reading = store.load_segments([A], {})
    first = next(iter(reading))

    assert PostgresStore(connect(), GROUP).merge_segments(A, 0, 60) == 58

    assert [first, *reading] == [packed(A, n, n + 1) for n in range(60)]
    assert bounds(store) == [(0, 2), (2, 60)]


def test_a_zombie_merges_what_the_next_owner_finds(connect: Connect, store: PostgresStore) -> None:
    owner = PostgresStore(connect(), GROUP)
    owner.acquire({A: 0})

    assert store.merge_segments(A, 0, 4) == 2

    assert owner.positions("transactions") == {A: Position(2, 4, packed(A, 3, 4).max_event_time_us)}
    assert list(owner.load_segments([A], {})) == [packed(A, 0, 2), packed(A, 2, 4)]


def test_what_was_heard_is_not_read_again(connect: Connect, store: PostgresStore) -> None:
    """The key leads to what is new, and to the one before it."""
    store.acquire({B: 0, C: 0})
    for partition, first in ((A, 4), (B, 0), (C, 0)):
        commit(store, *(packed(partition, n, n + 1) for n in range(first, 5_000)))
    with connect().begin() as connection:
        connection.execute(text("ANALYZE stream.journal"))
    before = n_read(connect())

    listener = connect()
    assert len(list(PostgresStore(listener, GROUP).segments_from({A: 4_990, C: 4_990}))) == 20

    with listener.begin() as connection:
        connection.execute(text("SELECT pg_stat_force_next_flush()"))
    assert 20 <= n_read(connect()) - before < 30


def n_read(engine: Engine) -> int:
    with engine.connect() as connection:
        n = connection.scalar(
            text(
                "SELECT idx_tup_fetch + seq_tup_read FROM pg_stat_user_tables"
                " WHERE relid = 'stream.journal'::regclass"
            )
        )
    assert n is not None
    return int(n)
