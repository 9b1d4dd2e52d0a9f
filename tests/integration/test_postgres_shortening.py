"""Shortening the journal beside commits, takeovers and rewinds, at the same time."""

from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from sqlalchemy import Engine

from flagpost.core.effects import Position
from flagpost.core.features import RETENTION_US
from flagpost.errors import Refused
from flagpost.events import Partition
from flagpost.postgres.rewinding import read_rewindable, rewind
from flagpost.postgres.store import PostgresStore
from flagpost.rewind_plan import plan_to_offset
from tests.contract.packed import commit, packed
from tests.integration.conftest import Connect
from tests.integration.rewinds import rewind_to
from tests.integration.sessions import before_statement, wait_until_blocked

A = Partition("transactions", 0)
GROUP = "scorers"
REACHED = {A: Position(1, 4, packed(A, 3, 4).max_event_time_us)}
NOTHING, ALL_BUT_CHECKPOINTS = -1, RETENTION_US - 1  # is kept of event time, in microseconds


def four_rows(engine: Engine) -> PostgresStore:
    """Rows of one message each; a rewind can go to before the first and before the third."""
    store = PostgresStore(engine, GROUP)
    store.acquire({A: 0})
    write(store, range(4))
    return store


def write(store: PostgresStore, offsets: range) -> None:
    for start in offsets:
        commit(store, packed(A, start, start + 1), opens_hour=start in (0, 2))


def starts(store: PostgresStore) -> list[int]:
    return [each.start_offset for each in store.load_segments([A], {})]


def test_no_commit_and_no_takeover_waits_for_a_shortening(connect: Connect) -> None:
    shortening = connect()
    store, owner = four_rows(shortening), PostgresStore(connect(), GROUP)

    def go_on() -> None:
        commit(owner, packed(A, 4, 5))
        owner.acquire({A: 0})
        commit(owner, packed(A, 5, 6))

    before_statement(shortening, "DELETE FROM stream.journal", go_on)

    assert store.forget_segments(REACHED, NOTHING) > 0
    assert owner.positions("transactions")[A].next_offset == 6


def test_a_member_that_was_frozen_deletes_nothing_of_what_came_after_a_rewind(
    connect: Connect,
) -> None:
    zombie, owner = four_rows(connect()), PostgresStore(connect(), GROUP)
    rewind_to(connect(), GROUP, A, 0)
    owner.acquire({A: 0})
    write(owner, range(2))

    assert zombie.forget_segments(REACHED, NOTHING) == 0

    assert starts(owner) == [0, 1]
    assert rewind_to(connect(), GROUP, A, 0) == 2


def test_a_shortening_waits_for_a_rewind_and_is_fenced_by_it(
    connect: Connect, pool: ThreadPoolExecutor
) -> None:
    store, rewinding = four_rows(connect()), connect()
    shortened: list[Future[int]] = []

    def shorten() -> None:
        shortened.append(pool.submit(store.forget_segments, REACHED, NOTHING))
        wait_until_blocked(connect())

    before_statement(rewinding, "DELETE FROM stream.journal", shorten)

    assert rewind_to(rewinding, GROUP, A, 2) == 2
    assert [each.result(timeout=10) for each in shortened] == [0]
    assert starts(store) == [0, 1]


def test_a_rewind_waits_for_a_shortening_and_is_refused_where_its_checkpoint_has_gone(
    connect: Connect, pool: ThreadPoolExecutor
) -> None:
    shortening, rewinding = connect(), connect()
    store = four_rows(shortening)
    before = store.positions("transactions")
    steps = plan_to_offset(read_rewindable(rewinding, GROUP, ["transactions"]).histories, A, 2)
    rewound: list[Future[dict[str, int]]] = []

    def go_back() -> None:
        rewound.append(pool.submit(rewind, rewinding, GROUP, steps))
        wait_until_blocked(connect())

    before_statement(shortening, "DELETE FROM stream.journal", go_back)

    store.forget_segments(REACHED, ALL_BUT_CHECKPOINTS)

    with pytest.raises(Refused, match="too old"):
        rewound[0].result(timeout=10)
    assert store.positions("transactions") == before
    assert starts(store) == [0, 1, 2, 3]
