"""What every store keeps when it merges segments."""

from dataclasses import replace

import pytest

from flagpost.core.effects import Position
from flagpost.core.store import Store
from flagpost.events import Partition
from tests.contract.backends import Backend
from tests.contract.packed import FIRST_US, SECOND_US, commit, packed

A, B, LABELS = (
    Partition("transactions", 0),
    Partition("transactions", 1),
    Partition("labels", 0),
)


@pytest.mark.parametrize("partition", [A, LABELS], ids=["transactions", "labels"])
def test_merged_segments_are_what_one_batch_would_have_written(
    store: Store, partition: Partition
) -> None:
    store.acquire({partition: 3})
    for start, end in ((3, 10), (10, 11), (11, 400)):
        commit(store, packed(partition, start, end))

    assert store.merge_segments(partition, 3, 400) == 2

    whole = packed(partition, 3, 400)
    assert list(store.load_segments([partition], {})) == [whole]
    assert list(store.recall_segments(partition, FIRST_US, FIRST_US + 50 * SECOND_US)) == [whole]
    assert list(store.segments_from({partition: 0})) == [whole]


def test_what_no_message_of_was_accepted_stays_a_gap(store: Store) -> None:
    store.acquire({A: 0})
    commit(store, packed(A, 0, 4, [1, 2]), packed(A, 7, 9))

    store.merge_segments(A, 0, 9)

    assert list(store.load_segments([A], {})) == [packed(A, 0, 9, [1, 2, 7, 8])]


def test_only_the_span_of_one_partition_and_group_is_merged(backend: Backend) -> None:
    mine, others = backend.store("scorers"), backend.store("shadow")
    for store in (mine, others):
        store.acquire({A: 0, B: 0})
        for partition in (A, B):
            commit(store, *(packed(partition, n, n + 1) for n in range(4)))

    assert mine.merge_segments(A, 1, 3) == 1

    single = [packed(A, n, n + 1) for n in range(4)]
    assert list(mine.load_segments([A], {})) == [single[0], packed(A, 1, 3), single[3]]
    assert list(others.load_segments([A], {})) == single
    assert len(list(mine.load_segments([B], {}))) == 4


def test_what_is_alone_or_absent_stays_as_it_is(store: Store) -> None:
    assert store.merge_segments(A, 0, 10) == 0
    store.acquire({A: 0})
    commit(store, packed(A, 0, 5))

    assert store.merge_segments(A, 0, 10) == store.merge_segments(A, 5, 10) == 0
    assert list(store.load_segments([A], {})) == [packed(A, 0, 5)]


def test_who_has_heard_a_half_hears_all_of_a_merged_segment_and_then_what_follows(
    store: Store,
) -> None:
    store.acquire({A: 0})
    for start in range(5):
        commit(store, packed(A, start, start + 1))
    store.merge_segments(A, 0, 4)

    merged, last = packed(A, 0, 4), packed(A, 4, 5)
    assert list(store.segments_from({A: 2})) == [merged, last]
    assert list(store.segments_from({A: 4})) == [last]
    assert list(store.segments_from({A: 5})) == []


def test_nothing_reaches_over_a_checkpoint(store: Store) -> None:
    store.acquire({A: 0})
    for start in range(6):
        commit(store, packed(A, start, start + 1), opens_hour=start in (0, 2, 3))

    assert store.merge_segments(A, 0, 6) == 3

    bounds = [(each.start_offset, each.end_offset) for each in store.load_segments([A], {})]
    assert bounds == [(0, 2), (2, 3), (3, 6)]
    assert store.merge_segments(A, 0, 6) == 0


def test_merged_segments_can_be_merged_again(store: Store) -> None:
    store.acquire({A: 0})
    commit(store, *(packed(A, n, n + 1) for n in range(9)))
    for span in ((0, 3), (3, 6), (0, 9)):
        store.merge_segments(A, *span)

    assert list(store.load_segments([A], {})) == [packed(A, 0, 9)]


def test_a_load_and_forgetting_go_by_the_times_of_what_was_merged(store: Store) -> None:
    store.acquire({A: 0})
    late = replace(packed(A, 2, 3), min_event_time_us=FIRST_US - SECOND_US)
    commit(store, packed(A, 0, 2), late, packed(A, 3, 5), packed(A, 5, 6))
    store.merge_segments(A, 0, 5)

    [merged, last] = store.load_segments([A], {})
    assert merged.min_event_time_us == FIRST_US - SECOND_US
    assert merged.max_event_time_us == FIRST_US + 4 * SECOND_US
    assert list(store.load_segments([A], {A: merged.max_event_time_us})) == [merged, last]
    assert list(store.load_segments([A], {A: last.max_event_time_us})) == [last]
    assert store.forget_segments({A: Position(1, 9, merged.max_event_time_us)}, 0) == 0
    assert store.forget_segments({A: Position(1, 9, last.max_event_time_us)}, 0) == 1
