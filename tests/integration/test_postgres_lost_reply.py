"""The worst moment for a connection to break: the client cannot know whether it has committed."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.engine import make_url

from flagpost.core.effects import Advance, Counts, Effects, Position
from flagpost.errors import Fenced, Unavailable
from flagpost.events import Partition
from flagpost.postgres import positions
from flagpost.postgres.engine import create_engine
from flagpost.postgres.store import PostgresStore
from flagpost.torture.database_proxy import DatabaseProxy, proxy_before
from tests.contract.test_store_contract import flagged, segment
from tests.integration.sessions import wait_until_blocked

A = Partition("transactions", 0)
BATCH = Effects([Advance(A, 1, 0, 10, None, Counts(10, 9, 1, 0, 0))], flagged=[flagged("t1")])


@pytest.fixture
def proxy(database_url: str) -> Iterator[DatabaseProxy]:
    with proxy_before(database_url) as proxy:
        yield proxy


@pytest.fixture(params=["psycopg", "psycopg2"])
def store(request: pytest.FixtureRequest, proxy: DatabaseProxy) -> Iterator[PostgresStore]:
    url = make_url(proxy.database_url).set(drivername=f"postgresql+{request.param}")
    engine = create_engine(url.render_as_string(hide_password=False))
    store = PostgresStore(engine, "scorers")
    store.acquire({A: 0})
    yield store
    engine.dispose()


def test_after_a_lost_reply_the_position_tells_what_was_written(
    store: PostgresStore, proxy: DatabaseProxy
) -> None:
    proxy.lose_next_commit_reply()
    with pytest.raises(Unavailable):
        store.commit(BATCH)

    assert store.acquire({A: 0}) == {A: Position(2, 10, None)}
    with pytest.raises(Fenced):
        store.commit(BATCH)
    assert store.totals("transactions") == {A: Counts(10, 9, 1, 0, 0)}


def test_a_commit_whose_sender_is_gone_takes_effect_or_does_not(
    store: PostgresStore, proxy: DatabaseProxy, engine: Engine
) -> None:
    with ThreadPoolExecutor(1) as pool, engine.begin() as holder:
        positions.announce(holder, "scorers", {A: 0}, {A: 1})
        sent = pool.submit(store.commit, BATCH)
        wait_until_blocked(engine)
        proxy.cut()
        with pytest.raises(Unavailable):
            sent.result(timeout=10)

    heir = PostgresStore(engine, "scorers")
    [position] = heir.acquire({A: 0}).values()
    [counts] = heir.totals("transactions").values()
    assert (position.next_offset, counts.n_in) in [(0, 0), (10, 10)]
    assert count_flagged(engine) == counts.n_flagged


def count_flagged(engine: Engine) -> int:
    with engine.connect() as connection:
        query = text("SELECT count(*) FROM scores.fraud_transactions")
        return int(connection.execute(query).scalar_one())


def test_after_a_commit_that_never_arrived_nothing_is_written(
    store: PostgresStore, proxy: DatabaseProxy
) -> None:
    proxy.lose_next_commit()
    with pytest.raises(Unavailable):
        store.commit(BATCH)

    assert store.acquire({A: 0}) == {A: Position(2, 0, None)}
    assert store.totals("transactions") == {A: Counts()}


@pytest.mark.filterwarnings("ignore:.* was deleted while still open:ResourceWarning")  # psycopg's
def test_a_connection_that_is_cut_while_segments_are_read_leaves_no_trace_in_the_log(
    store: PostgresStore, proxy: DatabaseProxy, caplog: pytest.LogCaptureFixture
) -> None:
    n = 100  # more than come at a time
    written = [segment(A, start, start + 1) for start in range(n)]
    store.commit(Effects([Advance(A, 1, 0, n, None, Counts(n, n))], written))

    segments = store.load_segments([A], {})
    next(segments)
    proxy.cut()

    with pytest.raises(Unavailable):
        segments.close()  # type: ignore[attr-defined]  # it is a generator

    assert caplog.records == []


def test_the_commit_of_a_read_is_never_the_one_that_is_lost(
    store: PostgresStore, proxy: DatabaseProxy
) -> None:
    proxy.lose_next_commit_reply()

    assert store.totals("transactions") == {A: Counts()}
    store.announce({A: 0}, {A: 1})
    assert proxy.is_armed

    with pytest.raises(Unavailable):
        store.commit(BATCH)
    assert not proxy.is_armed
