"""Two members of a group on one database, and a database that goes away."""

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.engine import make_url
from structlog.testing import capture_logs

from flagpost.core.effects import Advance, Counts, Effects, Position
from flagpost.errors import Fenced, Unavailable
from flagpost.events import Partition
from flagpost.postgres import batch, positions
from flagpost.postgres.engine import create_engine
from flagpost.postgres.store import PostgresStore
from flagpost.postgres.time_limit import TimeLimit
from flagpost.torture.waiting import wait_until
from tests.contract.test_store_contract import NOON_US, flagged, label, segment
from tests.integration.conftest import Connect
from tests.integration.sessions import end_other_sessions, wait_until_blocked

A, B, C = (Partition("transactions", number) for number in range(3))
GROUP = "scorers"


@pytest.fixture(params=["psycopg", "psycopg2"])
def connect(request: pytest.FixtureRequest, database_url: str) -> Iterator[Connect]:
    """A function that returns a new engine, one for each member, with session options."""
    url = make_url(database_url).set(drivername=f"postgresql+{request.param}")
    with ExitStack() as opened:

        def connect(options: str = "") -> Engine:
            own = url.update_query_dict({"options": options})
            engine = create_engine(own.render_as_string(hide_password=False))
            opened.callback(engine.dispose)
            return engine

        yield connect


def step(partition: Partition, epoch: int, start: int, end: int) -> Advance:
    n = end - start
    return Advance(partition, epoch, start, end, None, Counts(n, n, 0, 0, 0))


def test_a_fenced_commit_leaves_no_trace(connect: Connect) -> None:
    engine = connect()
    zombie, owner = PostgresStore(engine, GROUP), PostgresStore(connect(), GROUP)
    zombie.acquire({A: 0, B: 0})
    owner.acquire({B: 0})

    with pytest.raises(Fenced, match=r"transactions\[1\]"):
        zombie.commit(
            Effects(
                [step(A, 1, 0, 5), step(B, 1, 0, 5)],
                [segment(A, 0, 5), segment(B, 0, 5)],
                [flagged("t1")],
            )
        )

    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM scores.fraud_transactions")) == 0
        assert connection.scalar(text("SELECT count(*) FROM stream.journal")) == 0
        assert connection.scalar(text("SELECT sum(next_offset) FROM stream.positions")) == 0


def test_a_takeover_waits_for_the_commit_under_way_and_starts_behind_it(
    connect: Connect, pool: ThreadPoolExecutor
) -> None:
    former, new = connect(), PostgresStore(connect(), GROUP)
    PostgresStore(former, GROUP).acquire({A: 0})

    with former.begin() as under_way:
        batch.write(under_way, GROUP, Effects([step(A, 1, 0, 10)]))
        takeover = pool.submit(new.acquire, {A: 0})
        wait_until_blocked(connect())
    assert takeover.result(timeout=10) == {A: Position(2, 10, None)}


def test_a_commit_that_waits_for_an_announcement_is_done_once_and_whole(
    connect: Connect, pool: ThreadPoolExecutor
) -> None:
    store, other = PostgresStore(connect(), GROUP), connect()
    store.acquire({A: 0, B: 0, C: 0})

    with other.begin() as under_way:
        positions.announce(under_way, GROUP, {B: NOON_US, C: NOON_US}, {B: 1, C: 1})
        waiting: Future[Counts] = pool.submit(
            store.commit,
            Effects(
                [step(A, 1, 0, 10), step(B, 1, 0, 10), step(C, 1, 0, 10)],
                segments=[segment(partition, 0, 10) for partition in (A, B, C)],
                flagged=[flagged("t1")],
            ),
        )
        wait_until_blocked(connect())

    assert waiting.result(timeout=10).n_in == 30
    found = store.positions("transactions")
    assert {partition: at.next_offset for partition, at in found.items()} == {A: 10, B: 10, C: 10}
    assert count_rows(connect(), "stream.journal") == 3
    assert count_rows(connect(), "scores.fraud_transactions") == 1


def test_a_commit_that_waits_for_a_takeover_is_fenced(
    connect: Connect, pool: ThreadPoolExecutor
) -> None:
    former, new = PostgresStore(connect(), GROUP), connect()
    former.acquire({A: 0, B: 0})

    with new.begin() as under_way:
        positions.acquire(under_way, GROUP, "host:1", {B: 0})
        late: Future[Counts] = pool.submit(
            former.commit,
            Effects([step(A, 1, 0, 10), step(B, 1, 0, 10)], segments=[segment(A, 0, 10)]),
        )
        wait_until_blocked(connect())
    with pytest.raises(Fenced) as fenced:
        late.result(timeout=10)

    assert fenced.value.partitions == {B}
    assert former.positions("transactions")[A].next_offset == 0
    assert count_rows(connect(), "stream.journal") == 0


def test_members_that_take_over_in_opposite_order_do_not_deadlock(
    connect: Connect, pool: ThreadPoolExecutor
) -> None:
    partitions = [Partition("transactions", number) for number in range(32)]
    orders = [dict.fromkeys(partitions, 0), dict.fromkeys(reversed(partitions), 0)]

    def take_over_often(order: dict[Partition, int]) -> None:
        store = PostgresStore(connect(), GROUP)
        for _ in range(50):
            held = store.acquire(order)
            steps = [step(p, at.epoch, 0, 0) for p, at in held.items()]
            try:
                store.commit(Effects(steps))
            except Fenced:
                continue

    list(pool.map(take_over_often, orders))

    epochs = {at.epoch for at in PostgresStore(connect(), GROUP).positions("transactions").values()}
    assert epochs == {100}


def commit_in_opposite_orders(
    connect: Connect, pool: ThreadPoolExecutor, batch_of: Callable[[int], Effects]
) -> None:
    """Let two groups commit the same 30 batches, one of them with the rows turned round."""

    def commit_often(group: str) -> None:
        store = PostgresStore(connect(), group)
        store.acquire({A: 0})
        for start in range(30):
            batch = batch_of(start)
            if group != "scorers":
                batch.labels.reverse()
                batch.flagged.reverse()
            store.commit(batch)

    list(pool.map(commit_often, ["scorers", "shadow"]))


def count_rows(engine: Engine, table: str) -> int | None:
    with engine.connect() as connection:
        return connection.scalar(text(f"SELECT count(*) FROM {table}"))  # noqa: S608


def test_groups_that_store_the_same_labels_in_opposite_order_do_not_deadlock(
    connect: Connect, pool: ThreadPoolExecutor
) -> None:
    def batch_of(start: int) -> Effects:
        labels = [label(f"t{start}-{number}") for number in range(300)]
        return Effects([step(A, 1, start, start + 1)], labels=labels)

    commit_in_opposite_orders(connect, pool, batch_of)

    assert count_rows(connect(), "label.fraud_labels") == 9000


def test_groups_that_flag_the_same_in_opposite_order_do_not_deadlock(
    connect: Connect, pool: ThreadPoolExecutor
) -> None:
    def batch_of(start: int) -> Effects:
        rows = [flagged(f"t{start}-{number}") for number in range(300)]
        return Effects([step(A, 1, start, start + 1)], flagged=rows)

    commit_in_opposite_orders(connect, pool, batch_of)

    assert count_rows(connect(), "scores.fraud_transactions") == 9000


def test_a_frozen_owner_holds_the_new_one_up_for_a_bounded_time(connect: Connect) -> None:
    frozen = connect("-c idle_in_transaction_session_timeout=200ms")
    PostgresStore(frozen, GROUP).acquire({A: 0})
    zombie = PostgresStore(frozen, GROUP)

    under_way = frozen.connect()
    batch.write(under_way, GROUP, Effects([step(A, 1, 0, 10)]))  # and no more comes from it
    assert PostgresStore(connect(), GROUP).acquire({A: 0}) == {A: Position(2, 0, None)}

    under_way.invalidate()
    under_way.close()
    with pytest.raises(Fenced):
        zombie.commit(Effects([step(A, 1, 0, 10)]))


def test_a_session_that_is_frozen_is_given_up_and_another_one_goes_on(connect: Connect) -> None:
    engine = connect()
    store = PostgresStore(engine, GROUP, TimeLimit(3))
    store.acquire({A: 0})
    store.commit(Effects([step(A, 1, 0, 5)]))
    pid = pid_of_commits(engine)

    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(Unavailable):
            store.commit(Effects([step(A, 1, 5, 10)], flagged=[flagged("t1")]))
        assert store.acquire({A: 0}) == {A: Position(2, 5, None)}
    finally:
        os.kill(pid, signal.SIGCONT)

    assert wait_until(lambda: not is_alive(engine, pid), 10)
    assert store.positions("transactions") == {A: Position(2, 5, None)}
    assert store.commit(Effects([step(A, 2, 5, 10)])).n_in == 5


def test_a_session_that_is_frozen_before_the_first_commit_is_given_up(connect: Connect) -> None:
    engine = connect()
    store = PostgresStore(engine, GROUP, TimeLimit(3))
    store.acquire({A: 0})
    with engine.connect() as connection:
        pid = int(connection.execute(text("SELECT pg_backend_pid()")).scalar_one())

    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(Unavailable):
            store.commit(Effects([step(A, 1, 0, 5)]))
        assert store.acquire({A: 0}) == {A: Position(2, 0, None)}
    finally:
        os.kill(pid, signal.SIGCONT)

    assert store.commit(Effects([step(A, 2, 0, 5)])).n_in == 5


def test_a_session_that_dies_before_the_first_commit_is_unavailable_once(connect: Connect) -> None:
    store, watcher = PostgresStore(connect(), GROUP), connect()
    store.acquire({A: 0})
    end_other_sessions(watcher)

    with pytest.raises(Unavailable):
        store.commit(Effects([step(A, 1, 0, 5)]))
    assert store.commit(Effects([step(A, 1, 0, 5)])).n_in == 5


def test_all_commits_use_one_session_which_ends_with_the_engine(connect: Connect) -> None:
    engine, watcher = connect(), connect()
    store = PostgresStore(engine, GROUP)
    store.acquire({A: 0})
    store.commit(Effects([step(A, 1, 0, 5)]))
    pid = pid_of_commits(watcher)
    store.commit(Effects([step(A, 1, 5, 9)]))

    assert pid_of_commits(watcher) == pid
    engine.dispose()
    assert wait_until(lambda: not is_alive(watcher, pid), 10)


def pid_of_commits(engine: Engine) -> int:
    query = text(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
        " AND query LIKE '%n_labels%' AND pid <> pg_backend_pid()"
    )
    with engine.connect() as connection:
        return int(connection.execute(query).scalar_one())


def is_alive(engine: Engine, pid: int) -> bool:
    query = text("SELECT count(*) FROM pg_stat_activity WHERE pid = :pid")
    with engine.connect() as connection:
        return bool(connection.scalar(query, {"pid": pid}))


def test_a_long_read_may_go_on_as_long_as_something_comes(connect: Connect) -> None:
    limit = TimeLimit()
    with (
        connect().connect() as connection,
        limit.on(connection.connection.dbapi_connection) as wait,
    ):
        began_at = [wait.began_at for _ in wait.each(range(3))]

    assert began_at[0] < began_at[1] < began_at[2]


def test_waiting_too_long_for_a_lock_is_unavailable(connect: Connect) -> None:
    owner, impatient = connect(), PostgresStore(connect("-c lock_timeout=50ms"), GROUP)
    impatient.acquire({A: 0})

    with owner.begin() as under_way:
        positions.acquire(under_way, GROUP, "host:1", {A: 0})
        with pytest.raises(Unavailable, match="lock timeout"):
            impatient.commit(Effects([step(A, 1, 0, 10)]))


def test_a_server_that_ends_the_session_is_unavailable_and_the_next_call_connects_again(
    connect: Connect, pool: ThreadPoolExecutor
) -> None:
    store, other, watcher = PostgresStore(connect(), GROUP), connect(), connect()
    store.acquire({A: 0})

    with other.begin() as under_way:
        under_way.execute(text("SELECT FROM stream.positions FOR UPDATE"))
        cut_off: Future[Counts] = pool.submit(
            store.commit, Effects([step(A, 1, 0, 10)], flagged=[flagged("t1")])
        )
        pid = wait_until_blocked(watcher)
        with watcher.connect() as connection:
            connection.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
        with pytest.raises(Unavailable):
            cut_off.result(timeout=10)

    assert store.positions("transactions") == {A: Position(1, 0, None)}


def test_a_session_that_died_while_idle_is_unavailable_once(connect: Connect) -> None:
    store, watcher = PostgresStore(connect(), GROUP), connect()
    store.acquire({A: 0})
    store.commit(Effects([step(A, 1, 0, 5)]))
    end_other_sessions(watcher)

    with pytest.raises(Unavailable):
        store.commit(Effects([step(A, 1, 5, 10)]))
    store.commit(Effects([step(A, 1, 5, 10)]))


def test_flagged_rows_that_are_left_out_are_logged_as_a_count(connect: Connect) -> None:
    store = PostgresStore(connect(), GROUP)
    store.acquire({A: 0})

    with capture_logs() as logs:
        store.commit(Effects([step(A, 1, 0, 5)], flagged=[flagged("t1"), flagged("t2")]))
        store.commit(Effects([step(A, 1, 5, 9)], flagged=[flagged("t1"), flagged("t3")]))

    assert [(entry["log_level"], entry["n_left_out"]) for entry in logs] == [("warning", 1)]


def test_partitions_are_loaded_together_in_the_order_of_event_time(connect: Connect) -> None:
    store = PostgresStore(connect(), GROUP)
    store.acquire({A: 0, B: 0})
    starts = range(0, 200, 5)  # more than are fetched at a time
    ours = {p: [segment(p, at, at + 5, NOON_US + at + p.number) for at in starts] for p in (A, B)}
    store.commit(Effects([step(A, 1, 0, 200), step(B, 1, 0, 200)], [*ours[A], *ours[B]]))

    loaded = list(store.load_segments([A, B], {}))

    assert loaded == [each for pair in zip(ours[A], ours[B], strict=True) for each in pair]
