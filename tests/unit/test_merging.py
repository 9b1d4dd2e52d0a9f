"""Which small segments are due, and what becomes of a merge that fails."""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

import pytest

from flagpost.core.effects import Segment
from flagpost.core.segment import MERGED_BYTES, SMALL_BYTES
from flagpost.errors import SchemaOutdated, Unavailable
from flagpost.events import Partition
from flagpost.merging import FEWEST_ROWS, MERGED_ROWS, Merging
from tests.contract.memory_store import Database, MemoryStore

A, B = Partition("transactions", 0), Partition("transactions", 1)

Span = tuple[Partition, int, int]


class Noting(MemoryStore):
    """A store that notes what it is asked to merge."""

    def __init__(self) -> None:
        super().__init__(Database(), "scorers")
        self.asked: list[Span] = []
        self.error: Exception | None = None

    def merge_segments(self, partition: Partition, start_offset: int, end_offset: int) -> int:
        self.asked.append((partition, start_offset, end_offset))
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
def merging(store: Noting, background: Later) -> Merging:
    return Merging(store, background)


def note(
    merging: Merging, partition: Partition, first: int, n_rows: int, n_bytes: int = 100
) -> None:
    for offset in range(first, first + n_rows):
        merging.note(Segment(partition, offset, offset + 1, 0, 0, bytes(n_bytes)))


def merge_all(merging: Merging, background: Later) -> None:
    merging.go_on()
    while background.waiting:
        background.run()
        merging.go_on()


def test_a_span_is_due_when_it_has_many_rows(
    merging: Merging, store: Noting, background: Later
) -> None:
    note(merging, A, 0, MERGED_ROWS - 1)
    note(merging, B, 7, MERGED_ROWS)
    merge_all(merging, background)
    assert store.asked == [(B, 7, 7 + MERGED_ROWS)]

    note(merging, A, MERGED_ROWS - 1, 2)
    merge_all(merging, background)
    assert store.asked[1:] == [(A, 0, MERGED_ROWS)]


def test_a_span_is_due_when_it_is_large_enough(
    merging: Merging, store: Noting, background: Later
) -> None:
    n_rows = -(-MERGED_BYTES // (SMALL_BYTES - 1))
    note(merging, A, 0, 2 * n_rows, SMALL_BYTES - 1)
    merge_all(merging, background)

    assert store.asked == [(A, 0, n_rows), (A, n_rows, 2 * n_rows)]


def test_large_segments_are_left_alone_and_nothing_is_merged_over_them(
    merging: Merging, store: Noting, background: Later
) -> None:
    note(merging, A, 0, FEWEST_ROWS - 1)
    note(merging, A, FEWEST_ROWS - 1, 3 * MERGED_ROWS, SMALL_BYTES)
    note(merging, A, 5 * MERGED_ROWS, MERGED_ROWS - 1)
    merge_all(merging, background)

    assert store.asked == []


def test_a_large_segment_makes_those_before_it_due_if_they_are_worth_it(
    merging: Merging, store: Noting, background: Later
) -> None:
    note(merging, A, 0, FEWEST_ROWS)
    note(merging, A, FEWEST_ROWS, 1, SMALL_BYTES)
    merge_all(merging, background)

    assert store.asked == [(A, 0, FEWEST_ROWS)]


def test_one_merge_is_under_way_at_a_time(
    merging: Merging, store: Noting, background: Later
) -> None:
    note(merging, A, 0, 3 * MERGED_ROWS)
    for _ in range(5):
        merging.go_on()
    assert len(background.waiting) == 1

    merge_all(merging, background)
    assert [start for _, start, _ in store.asked] == [0, MERGED_ROWS, 2 * MERGED_ROWS]


def test_a_partition_that_is_lost_is_forgotten(
    merging: Merging, store: Noting, background: Later
) -> None:
    note(merging, A, 0, MERGED_ROWS)
    note(merging, A, MERGED_ROWS, MERGED_ROWS - 1)
    note(merging, B, 0, MERGED_ROWS)
    merging.forget(A)
    note(merging, A, 2 * MERGED_ROWS, 1)
    merge_all(merging, background)

    assert store.asked == [(B, 0, MERGED_ROWS)]


def test_a_merge_that_fails_is_forgotten_and_the_next_one_tried(
    merging: Merging, store: Noting, background: Later
) -> None:
    note(merging, A, 0, 2 * MERGED_ROWS)
    store.error = Unavailable("PostgreSQL is unavailable")
    merge_all(merging, background)

    assert [start for _, start, _ in store.asked] == [0, MERGED_ROWS]


@pytest.mark.parametrize("error", [SchemaOutdated("no table"), ZeroDivisionError()])
def test_any_other_failure_comes_up_in_the_thread_that_polls(
    error: Exception, merging: Merging, store: Noting, background: Later
) -> None:
    note(merging, A, 0, MERGED_ROWS)
    store.error = error

    with pytest.raises(type(error)):
        merge_all(merging, background)
