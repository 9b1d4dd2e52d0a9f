"""Which segments are too small or too old, and what becomes of an attempt that fails."""

from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from typing import Any

import pytest

from flagpost.core.calendar import DAY_US
from flagpost.core.effects import Segment
from flagpost.core.segment import MERGED_BYTES, SMALL_BYTES
from flagpost.errors import SchemaOutdated, Unavailable
from flagpost.events import Partition
from flagpost.upkeep import FEWEST_ROWS, JOURNAL_RETENTION_US, MERGED_ROWS, Upkeep
from tests.contract.memory_store import Database, MemoryStore

A, B = Partition("transactions", 0), Partition("transactions", 1)

Span = tuple[Partition, int, int]


class Noting(MemoryStore):
    """A store that notes what it is asked to merge and to forget."""

    def __init__(self) -> None:
        super().__init__(Database(), "scorers")
        self.asked: list[Span] = []
        self.forgotten: list[Mapping[Partition, int]] = []
        self.error: Exception | None = None

    def merge_segments(self, partition: Partition, start_offset: int, end_offset: int) -> int:
        self.asked.append((partition, start_offset, end_offset))
        if self.error is not None:
            raise self.error
        return 1

    def forget_segments(self, before_event_time_us: Mapping[Partition, int]) -> int:
        self.forgotten.append(before_event_time_us)
        if self.error is not None:
            raise self.error
        return 1


class Later(Executor):
    """Does what it is given when it is told to."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []

    def submit(self, work: Callable[..., Any], /, *args: Any, **_: Any) -> "Future[Any]":  # noqa: ANN401  (as its base)
        done: Future[Any] = Future()

        def run() -> None:
            try:
                done.set_result(work(*args))
            except Exception as error:  # noqa: BLE001 - whoever asks for the result gets it
                done.set_exception(error)

        self.waiting.append(run)
        return done

    def run(self) -> None:
        self.waiting.pop(0)()


@pytest.fixture
def store() -> Noting:
    return Noting()


@pytest.fixture
def background() -> Later:
    return Later()


@pytest.fixture
def upkeep(store: Noting, background: Later) -> Upkeep:
    return Upkeep(store, background)


def note(upkeep: Upkeep, partition: Partition, first: int, n_rows: int, n_bytes: int = 100) -> None:
    for offset in range(first, first + n_rows):
        upkeep.note(Segment(partition, offset, offset + 1, 0, 0, bytes(n_bytes)))


def do_all(upkeep: Upkeep, background: Later) -> None:
    upkeep.go_on()
    while background.waiting:
        background.run()
        upkeep.go_on()


def test_a_span_is_due_when_it_has_many_rows(
    upkeep: Upkeep, store: Noting, background: Later
) -> None:
    note(upkeep, A, 0, MERGED_ROWS - 1)
    note(upkeep, B, 7, MERGED_ROWS)
    do_all(upkeep, background)
    assert store.asked == [(B, 7, 7 + MERGED_ROWS)]

    note(upkeep, A, MERGED_ROWS - 1, 2)
    do_all(upkeep, background)
    assert store.asked[1:] == [(A, 0, MERGED_ROWS)]


def test_a_span_is_due_when_it_is_large_enough(
    upkeep: Upkeep, store: Noting, background: Later
) -> None:
    n_rows = -(-MERGED_BYTES // (SMALL_BYTES - 1))
    note(upkeep, A, 0, 2 * n_rows, SMALL_BYTES - 1)
    do_all(upkeep, background)

    assert store.asked == [(A, 0, n_rows), (A, n_rows, 2 * n_rows)]


def test_large_segments_are_left_alone_and_nothing_is_merged_over_them(
    upkeep: Upkeep, store: Noting, background: Later
) -> None:
    note(upkeep, A, 0, FEWEST_ROWS - 1)
    note(upkeep, A, FEWEST_ROWS - 1, 3 * MERGED_ROWS, SMALL_BYTES)
    note(upkeep, A, 5 * MERGED_ROWS, MERGED_ROWS - 1)
    do_all(upkeep, background)

    assert store.asked == []


def test_a_large_segment_makes_those_before_it_due_if_they_are_worth_it(
    upkeep: Upkeep, store: Noting, background: Later
) -> None:
    note(upkeep, A, 0, FEWEST_ROWS)
    note(upkeep, A, FEWEST_ROWS, 1, SMALL_BYTES)
    do_all(upkeep, background)

    assert store.asked == [(A, 0, FEWEST_ROWS)]


def test_one_merge_is_under_way_at_a_time(upkeep: Upkeep, store: Noting, background: Later) -> None:
    note(upkeep, A, 0, 3 * MERGED_ROWS)
    for _ in range(5):
        upkeep.go_on()
    assert len(background.waiting) == 1

    do_all(upkeep, background)
    assert [start for _, start, _ in store.asked] == [0, MERGED_ROWS, 2 * MERGED_ROWS]


def test_a_partition_that_is_lost_is_forgotten(
    upkeep: Upkeep, store: Noting, background: Later
) -> None:
    note(upkeep, A, 0, MERGED_ROWS)
    note(upkeep, A, MERGED_ROWS, MERGED_ROWS - 1)
    note(upkeep, B, 0, MERGED_ROWS)
    upkeep.pass_time(A, None, 1_000 * DAY_US)
    upkeep.forget(A)
    note(upkeep, A, 2 * MERGED_ROWS, 1)
    do_all(upkeep, background)

    assert store.asked == [(B, 0, MERGED_ROWS)]
    assert not store.forgotten


def test_once_in_ten_days_a_partition_forgets_what_is_too_old(
    upkeep: Upkeep, store: Noting, background: Later
) -> None:
    upkeep.pass_time(A, None, 1_000 * DAY_US)
    upkeep.pass_time(B, 1_005 * DAY_US, 1_009 * DAY_US)
    do_all(upkeep, background)
    upkeep.pass_time(A, 1_000 * DAY_US, 1_009 * DAY_US)
    upkeep.pass_time(B, 1_009 * DAY_US, 1_010 * DAY_US)
    do_all(upkeep, background)

    assert store.forgotten == [
        {A: 1_000 * DAY_US - JOURNAL_RETENTION_US},
        {B: 1_010 * DAY_US - JOURNAL_RETENTION_US},
    ]


def test_what_is_too_old_goes_before_merges_and_by_itself(
    upkeep: Upkeep, store: Noting, background: Later
) -> None:
    note(upkeep, A, 0, MERGED_ROWS)
    upkeep.pass_time(B, None, 1_000 * DAY_US)
    upkeep.go_on()
    upkeep.go_on()
    assert len(background.waiting) == 1
    background.run()

    assert (len(store.forgotten), store.asked) == (1, [])


def test_a_shortening_that_fails_is_due_again_ten_days_later(
    upkeep: Upkeep, store: Noting, background: Later
) -> None:
    store.error = Unavailable("PostgreSQL is unavailable")
    upkeep.pass_time(A, None, 1_000 * DAY_US)
    do_all(upkeep, background)
    upkeep.pass_time(A, 1_000 * DAY_US, 1_010 * DAY_US)
    do_all(upkeep, background)

    assert [before[A] for before in store.forgotten] == [
        day * DAY_US - JOURNAL_RETENTION_US for day in (1_000, 1_010)
    ]


def test_a_merge_that_fails_is_forgotten_and_the_next_one_tried(
    upkeep: Upkeep, store: Noting, background: Later
) -> None:
    note(upkeep, A, 0, 2 * MERGED_ROWS)
    store.error = Unavailable("PostgreSQL is unavailable")
    do_all(upkeep, background)

    assert [start for _, start, _ in store.asked] == [0, MERGED_ROWS]


@pytest.mark.parametrize("error", [SchemaOutdated("no table"), ZeroDivisionError()])
def test_any_other_failure_comes_up_in_the_thread_that_polls(
    error: Exception, upkeep: Upkeep, store: Noting, background: Later
) -> None:
    note(upkeep, A, 0, MERGED_ROWS)
    store.error = error

    with pytest.raises(type(error)):
        do_all(upkeep, background)
