"""What every store keeps, run against the one in memory and against PostgreSQL."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flagpost.core.effects import (
    Advance,
    Counts,
    Effects,
    FlaggedTransaction,
    HourlyTotals,
    KeptScore,
    Label,
    Position,
    Segment,
    SpreadCounts,
)
from flagpost.core.store import Clock, Store
from flagpost.errors import Fenced
from flagpost.events import Partition
from flagpost.torture.waiting import wait_until
from tests.contract.backends import Backend

A, B = Partition("transactions", 0), Partition("transactions", 1)
NOON_US = 1_767_268_800_123_457  # to the microsecond
HOUR_US = 3_600_000_000


def step(
    partition: Partition, epoch: int, start: int, end: int, time_us: int | None = NOON_US
) -> Advance:
    n = end - start
    return Advance(partition, epoch, start, end, time_us, Counts(n, n, 0, 0, 0))


def segment(partition: Partition, start: int, end: int, time_us: int = NOON_US) -> Segment:
    columns = bytes(range(256)) * 20 + start.to_bytes(4, "little")
    return Segment(partition, start, end, time_us - HOUR_US, time_us, columns)


def by_partition(segments: Iterable[Segment]) -> list[Segment]:
    """Put segments of several partitions behind each other; those of one keep their order."""
    return sorted(segments, key=lambda segment: segment.partition)


def flagged(transaction_id: str, amount_cents: int = 12_345) -> FlaggedTransaction:
    return FlaggedTransaction(
        transaction_id=transaction_id,
        user_id="Zoë \U0001f43f",
        terminal_id=None,
        event_time=datetime(2026, 1, 1, 12, 0, 0, 123_457, UTC),
        amount_cents=amount_cents,
        fraud_probability=0.1 + 0.2,
        risk_level="HIGH",
        reasons=[{"feature": "amount", "log_odds": 1 / 3, "text": 'a "quoted" % sentence'}],
        model_version="1",
        partition=A,
        offset=7,
        features=[amount_cents / 100, 0.0, 1 / 3],
    )


def kept(transaction_id: str, fraud_probability: float = 0.1 + 0.2) -> KeptScore:
    return KeptScore(
        transaction_id=transaction_id,
        user_id="Zoë \U0001f43f",
        terminal_id=None,
        event_time=datetime(2026, 1, 1, 12, 0, 0, 123_457, UTC),
        fraud_probability=fraud_probability,
        is_flagged=fraud_probability > 0.5,
        features=[1e-3, 0.0, 1 / 3],
        model_version="1",
        partition=A,
        offset=7,
    )


def spread(
    partition: Partition, counts: list[int], hour: int = 0, model_version: str = "1"
) -> SpreadCounts:
    """Make counts of an hour after 1970."""
    return SpreadCounts(partition, hour * HOUR_US, model_version, counts)


def totals(
    partition: Partition, *rows: tuple[int, str, int, int, int], counted_in: int = 9
) -> HourlyTotals:
    """Make totals: an hour after 1970, a reason, a count, cents and millionths each."""
    columns = [list(column) for column in zip(*rows, strict=True)]
    return HourlyTotals(partition, counted_in * HOUR_US, "1", *columns)


LABELS = Partition("labels", 0)
DAY = timedelta(days=1)


def label(transaction_id: str, days: int = 3, *, is_fraud: bool = True) -> Label:
    """Label a transaction of noon, some days later."""
    noon = datetime(2026, 1, 1, 12, 0, 0, 123_457, UTC)
    return Label(
        transaction_id=transaction_id,
        user_id="Zoë \U0001f43f",
        terminal_id=None,
        event_time=noon,
        is_fraud=is_fraud,
        known_at=noon + days * DAY,
        source=None,
        partition=LABELS,
        offset=11,
    )


def known_at_us(days: int) -> int:
    return NOON_US + 24 * HOUR_US * days


def test_a_new_partition_starts_at_its_first_offset_in_epoch_1(store: Store) -> None:
    assert store.acquire({A: 0, B: 500}) == {A: Position(1, 0, None), B: Position(1, 500, None)}


def test_each_takeover_begins_a_new_epoch_and_keeps_the_position(store: Store) -> None:
    store.acquire({A: 0})
    store.commit(Effects([step(A, 1, 0, 10)]))

    assert store.acquire({A: 0, B: 0}) == {A: Position(2, 10, NOON_US), B: Position(1, 0, None)}


def test_a_commit_that_was_begun_comes_about_before_anybody_waits_for_it(
    backend: Backend, store: Store
) -> None:
    store.acquire({A: 0})
    await_counts = store.begin_commit(Effects([step(A, 1, 0, 10)]))

    there = {A: Position(1, 10, NOON_US)}
    assert wait_until(lambda: backend.store("scorers").positions(A.topic) == there, 10)
    assert await_counts() == Counts(10, 10)


def test_nothing_is_sent_before_somebody_has_heard_of_the_commit_before(store: Store) -> None:
    store.acquire({A: 0})
    await_counts = store.begin_commit(Effects([step(A, 1, 0, 5)]))
    with pytest.raises(RuntimeError, match="nobody has asked"):
        store.commit(Effects([step(A, 1, 5, 9)]))

    await_counts()
    assert store.commit(Effects([step(A, 1, 5, 9)])) == Counts(4, 4)


def test_the_topic_of_a_position_is_noted_once(store: Store) -> None:
    store.acquire({A: 0, B: 0})

    assert store.identify({A: "first"}) == {A: "first"}
    assert store.identify({A: "second", B: "second"}) == {A: "first", B: "second"}


def test_the_topic_of_a_position_is_noted_for_each_group(backend: Backend) -> None:
    for group, topic_id in (("scorers", "first"), ("others", "second")):
        backend.store(group).acquire({A: 0})
        assert backend.store(group).identify({A: topic_id}) == {A: topic_id}


def test_a_partition_never_acquired_is_of_no_topic(store: Store) -> None:
    assert store.identify({A: "first"}) == {}


def test_taking_over_nothing_returns_nothing(store: Store) -> None:
    assert store.acquire({}) == {}


def test_commits_tile_the_partition(store: Store) -> None:
    store.acquire({A: 3})
    for start, end in ((3, 10), (10, 11), (11, 400)):
        store.commit(Effects([step(A, 1, start, end)], [segment(A, start, end)]))

    loaded = [(s.start_offset, s.end_offset) for s in store.load_segments([A], {})]
    assert loaded == [(3, 10), (10, 11), (11, 400)]
    assert store.positions("transactions") == {A: Position(1, 400, NOON_US)}


@pytest.mark.parametrize(
    ("epoch", "start"),
    [(1, 10), (3, 10), (2, 0), (2, 9), (2, 11)],
    ids=["former owner", "unknown epoch", "same batch again", "overlap", "gap"],
)
def test_a_commit_that_does_not_follow_the_position_is_fenced(
    store: Store, epoch: int, start: int
) -> None:
    store.acquire({A: 0})
    store.commit(Effects([step(A, 1, 0, 10)]))
    store.acquire({A: 0})

    with pytest.raises(Fenced) as fenced:
        store.commit(Effects([step(A, epoch, start, 20)]))

    assert fenced.value.partitions == {A}
    assert store.positions("transactions") == {A: Position(2, 10, NOON_US)}


def test_a_partition_never_acquired_is_fenced(store: Store) -> None:
    with pytest.raises(Fenced):
        store.commit(Effects([step(A, 1, 0, 10)]))


def test_one_lost_partition_holds_back_all_effects(backend: Backend) -> None:
    store = backend.store()
    store.acquire({A: 0, B: 0})
    backend.store().acquire({B: 0})

    with pytest.raises(Fenced) as fenced:
        store.commit(
            Effects(
                [step(A, 1, 0, 5), step(B, 1, 0, 5)],
                [segment(A, 0, 5), segment(B, 0, 5)],
                [flagged("t1")],
                kept=[kept("t1")],
                spread=[spread(A, [1, 0])],
                totals=[totals(A, (0, "NORMAL", 5, 500, 9))],
            )
        )

    assert fenced.value.partitions == {B}
    assert store.positions("transactions") == {A: Position(1, 0, None), B: Position(2, 0, None)}
    assert list(store.load_segments([A, B], {})) == []
    assert store.totals("transactions")[A].n_in == 0
    assert (backend.flagged(), backend.kept(), backend.spread()) == ({}, {}, {})
    assert backend.totals_by_hour() == {}


def test_a_flagged_transaction_comes_back_as_it_was(backend: Backend) -> None:
    store = backend.store()
    store.acquire({A: 0})
    rows = [flagged("t1"), flagged("t2", amount_cents=99_999_999_999_999)]
    store.commit(Effects([step(A, 1, 0, 5)], flagged=rows))

    assert backend.flagged() == {"t1": rows[0], "t2": rows[1]}


def test_the_first_decision_on_an_id_stands(backend: Backend) -> None:
    store = backend.store()
    store.acquire({A: 0})
    store.commit(Effects([step(A, 1, 0, 5)], flagged=[flagged("t1", 1), flagged("t1", 2)]))
    store.commit(Effects([step(A, 1, 5, 9)], flagged=[flagged("t1", 3), flagged("t2", 4)]))

    assert {i: row.amount_cents for i, row in backend.flagged().items()} == {"t1": 1, "t2": 4}
    assert store.positions("transactions")[A].next_offset == 9


@given(
    features=st.lists(
        # Zero has no sign in a row of the tables.
        st.floats(allow_nan=False, allow_infinity=False).map(lambda value: value + 0.0),
        max_size=5,
    )
)
@settings(
    deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_feature_values_come_back_to_the_bit(backend: Backend, features: list[float]) -> None:
    transaction_id = repr(features)
    store = backend.store()
    at = store.acquire({A: 0})[A]
    row = replace(flagged(transaction_id), features=features)
    store.commit(Effects([step(A, at.epoch, at.next_offset, at.next_offset + 1)], flagged=[row]))

    stored = backend.flagged()[transaction_id].features
    assert [value.hex() for value in stored] == [value.hex() for value in features]


def test_labels_come_back_as_they_were(backend: Backend) -> None:
    store = backend.store()
    store.acquire({LABELS: 0})
    genuine = replace(label("t2", is_fraud=False), user_id=None, terminal_id="m1", source="review")
    store.commit(Effects([step(LABELS, 1, 0, 2)], labels=[genuine, label("t1")]))

    assert backend.labels() == [label("t1"), genuine]


def test_corrections_are_kept_beside_what_they_correct(backend: Backend) -> None:
    store = backend.store()
    store.acquire({LABELS: 0})
    kept = [
        label("t1", 3, is_fraud=False),
        label("t1", 3, is_fraud=True),
        label("t1", 9, is_fraud=False),
    ]
    store.commit(Effects([step(LABELS, 1, 0, 3)], labels=kept[::-1]))

    assert backend.labels() == kept


def test_a_label_that_is_delivered_again_changes_nothing(backend: Backend) -> None:
    store = backend.store()
    store.acquire({LABELS: 0})
    again = replace(label("t1"), source="someone else", offset=12)
    store.commit(Effects([step(LABELS, 1, 0, 2)], labels=[label("t1"), again]))
    store.commit(Effects([step(LABELS, 1, 2, 4)], labels=[again, label("t2")]))

    assert backend.labels() == [label("t1"), label("t2")]
    assert store.positions("labels")[LABELS].next_offset == 4


def test_a_fenced_commit_writes_no_labels(backend: Backend) -> None:
    store = backend.store()
    store.acquire({LABELS: 0})
    backend.store().acquire({LABELS: 0})

    with pytest.raises(Fenced):
        store.commit(Effects([step(LABELS, 1, 0, 1)], labels=[label("t1")]))

    assert backend.labels() == []


def test_only_a_label_that_agrees_in_id_time_and_verdict_is_a_duplicate(backend: Backend) -> None:
    store = backend.store()
    store.acquire({LABELS: 0})
    first = [label("t1", 3), label("t1", 9, is_fraud=False), label('t"2', 3)]
    others = [label("t1", 3, is_fraud=False), label("t1", 4), label("t3", 3)]

    assert store.commit(Effects([step(LABELS, 1, 0, 3)], labels=first)) == Counts(3, 3)
    again = Effects([step(LABELS, 1, 3, 9)], labels=[*first, *others])
    assert store.commit(again) == Counts(6, 3, 0, 3)
    assert store.totals("labels") == {LABELS: Counts(9, 6, 0, 3)}


def test_a_label_that_is_sent_twice_in_a_batch_is_counted_once(backend: Backend) -> None:
    store = backend.store()
    other = Partition("labels", 1)
    store.acquire({LABELS: 0, other: 0, A: 0})
    twice = [label("t1"), replace(label("t1"), partition=other, offset=12)]
    steps = [step(LABELS, 1, 0, 1), step(other, 1, 0, 1), step(A, 1, 0, 5)]

    assert store.commit(Effects(steps, labels=twice)) == Counts(7, 6, 0, 1)
    assert store.totals("labels")[LABELS] == Counts(1, 1)
    assert store.totals("labels")[other] == Counts(1, 0, 0, 1)
    assert store.totals("transactions") == {A: Counts(5, 5)}


def test_a_label_that_another_group_has_stored_is_a_duplicate(backend: Backend) -> None:
    for group, counts in (("scorers", Counts(1, 1)), ("shadow", Counts(1, 0, 0, 1))):
        store = backend.store(group)
        store.acquire({LABELS: 0})
        assert store.commit(Effects([step(LABELS, 1, 0, 1)], labels=[label("t1")])) == counts
        assert store.totals("labels") == {LABELS: counts}


def test_segments_come_back_in_offset_order_byte_for_byte(store: Store) -> None:
    store.acquire({A: 0, B: 0})
    kept: dict[Partition, list[Segment]] = {A: [], B: []}
    for start in range(0, 50 * 40, 40):  # more than are fetched at once
        batch = [segment(A, start, start + 40), segment(B, start, start + 40)]
        advances = [step(A, 1, start, start + 40), step(B, 1, start, start + 40)]
        store.commit(Effects(advances, batch))
        kept[A].append(batch[0])
        kept[B].append(batch[1])

    assert list(store.load_segments([B, A], {})) == kept[B] + kept[A]
    assert list(store.load_segments([A], {})) == kept[A]


def test_segments_older_than_asked_for_are_left_out(store: Store) -> None:
    store.acquire({A: 0, B: 0})
    old, young = segment(A, 0, 5, NOON_US), segment(A, 5, 9, NOON_US + 1)
    other = segment(B, 0, 5, NOON_US)
    store.commit(Effects([step(A, 1, 0, 9), step(B, 1, 0, 5)], [old, young, other]))

    assert by_partition(store.load_segments([A, B], {A: NOON_US})) == [old, young, other]
    assert by_partition(store.load_segments([A, B], {A: NOON_US + 1})) == [young, other]


def test_a_load_goes_on_from_the_first_segment_that_reaches_the_time(store: Store) -> None:
    store.acquire({A: 0})
    segments = [segment(A, 0, 2, NOON_US), segment(A, 2, 4, NOON_US + 9), segment(A, 4, 6, NOON_US)]
    store.commit(Effects([step(A, 1, 0, 6)], segments))

    assert list(store.load_segments([A], {A: NOON_US + 9})) == segments[1:]
    assert list(store.load_segments([A], {A: NOON_US + 10})) == []
    assert store.forget_segments({A: Position(1, 9, NOON_US + 9)}, 0) == 1
    assert list(store.load_segments([A], {})) == segments[1:]


def test_a_kept_score_comes_back_as_it_was_and_the_first_of_an_id_stands(backend: Backend) -> None:
    store = backend.store()
    store.acquire({A: 0})
    clean, fraud = kept("t1", 2**-70), kept("t2", 1 - 2**-53)
    store.commit(Effects([step(A, 1, 0, 5)], kept=[clean, fraud, kept("t1", 0.25)]))
    store.commit(Effects([step(A, 1, 5, 9)], kept=[kept("t2", 0.75)]))

    assert backend.kept() == {"t1": clean, "t2": fraud}


def test_counts_of_an_hour_add_up_over_batches(backend: Backend) -> None:
    store = backend.store()
    store.acquire({A: 0, B: 0})
    both = [step(A, 1, 0, 5), step(B, 1, 0, 5)]
    store.commit(Effects(both, spread=[spread(A, [1, 0, 2]), spread(B, [0, 7, 0])]))
    store.commit(Effects([step(A, 1, 5, 9)], spread=[spread(A, [10, 20, 30])]))
    store.commit(Effects([step(A, 1, 9, 11)]))

    assert backend.spread() == {
        ("scorers", A, 0, "1"): [11, 20, 32],
        ("scorers", B, 0, "1"): [0, 7, 0],
    }


def test_counts_of_other_hours_models_and_groups_are_kept_apart(backend: Backend) -> None:
    hour = NOON_US // HOUR_US
    parts = [spread(A, [1]), spread(A, [2], hour), spread(A, [4, 8], hour, model_version="2")]
    for group in ("scorers", "shadow"):
        store = backend.store(group)
        store.acquire({A: 0})
        for start, each in enumerate(parts):
            store.commit(Effects([step(A, 1, start, start + 1)], spread=[each]))

    hour_us = hour * HOUR_US
    assert backend.spread() == {
        (group, A, *key): counts
        for group in ("scorers", "shadow")
        for key, counts in {(0, "1"): [1], (hour_us, "1"): [2], (hour_us, "2"): [4, 8]}.items()
    }


def test_a_batch_that_is_repeated_after_a_lost_reply_is_not_counted_again(backend: Backend) -> None:
    store = backend.store()
    store.acquire({A: 0})
    batch = Effects([step(A, 1, 0, 5)], spread=[spread(A, [1, 2])])
    store.commit(batch)
    at = store.acquire({A: 0})[A]

    with pytest.raises(Fenced):
        store.commit(batch)
    store.commit(Effects([step(A, at.epoch, at.next_offset, 6)], spread=[spread(A, [0, 1])]))

    assert backend.spread() == {("scorers", A, 0, "1"): [1, 3]}


def test_totals_of_an_hour_add_up_and_others_are_kept_apart(backend: Backend) -> None:
    store, shadow = backend.store(), backend.store("shadow")
    store.acquire({A: 0, B: 0})
    shadow.acquire({A: 0})
    first = totals(A, (7, "NORMAL", 3, 300, 2**53 + 1), (7, "UNUSUAL_AMOUNT", 1, 9, 900_000))
    other = totals(B, (7, "NORMAL", 1, 1, 1))
    store.commit(Effects([step(A, 1, 0, 5), step(B, 1, 0, 1)], totals=[first, other]))
    store.commit(Effects([step(A, 1, 5, 6)], totals=[totals(A, (7, "NORMAL", 2, 50, 1))]))
    late = totals(A, (7, "NORMAL", 1, 4, 1), counted_in=11)
    store.commit(Effects([step(A, 1, 6, 7)], totals=[late]))
    shadow.commit(Effects([step(A, 1, 0, 5)], totals=[first]))

    nine, eleven = 9 * HOUR_US, 11 * HOUR_US
    assert backend.totals_by_hour() == {
        ("scorers", A, nine, "1", 7, "NORMAL"): (5, 350, 2**53 + 2),
        ("scorers", A, nine, "1", 7, "UNUSUAL_AMOUNT"): (1, 9, 900_000),
        ("scorers", B, nine, "1", 7, "NORMAL"): (1, 1, 1),
        ("scorers", A, eleven, "1", 7, "NORMAL"): (1, 4, 1),
        ("shadow", A, nine, "1", 7, "NORMAL"): (3, 300, 2**53 + 1),
        ("shadow", A, nine, "1", 7, "UNUSUAL_AMOUNT"): (1, 9, 900_000),
    }


def test_what_was_accepted_in_a_span_of_event_time_can_be_recalled(store: Store) -> None:
    store.acquire({A: 0, B: 0})
    early, late = segment(A, 0, 5, NOON_US), segment(A, 5, 9, NOON_US + 2 * HOUR_US)
    other = segment(B, 0, 5, NOON_US)
    store.commit(Effects([step(A, 1, 0, 9), step(B, 1, 0, 5)], [early, late, other]))

    assert list(store.recall_segments(A, NOON_US, NOON_US)) == [early]
    assert list(store.recall_segments(A, NOON_US, NOON_US + HOUR_US)) == [early, late]
    assert list(store.recall_segments(A, NOON_US + 1, NOON_US + HOUR_US - 1)) == []


def test_what_others_have_added_since_can_be_heard(store: Store) -> None:
    store.acquire({A: 0, B: 0})
    segments = [segment(A, 0, 2), segment(A, 2, 4), segment(B, 0, 3)]
    store.commit(Effects([step(A, 1, 0, 4), step(B, 1, 0, 3)], segments))

    assert list(store.segments_from({A: 0, B: 3})) == segments[:2]
    assert list(store.segments_from({A: 2, B: 0})) == segments[1:]
    assert list(store.segments_from({})) == []


def test_a_clock_shows_what_is_processed_or_where_a_partition_waits(store: Store) -> None:
    store.acquire({A: 0, B: 0})
    assert store.clocks(["transactions"]) == {A: Clock(0, None), B: Clock(0, None)}
    store.commit(Effects([step(A, 1, 0, 4)]))
    store.announce({A: NOON_US - 5, B: NOON_US + 5}, {A: 1, B: 1})
    assert store.clocks(["transactions"]) == {A: Clock(4, NOON_US), B: Clock(0, NOON_US + 5)}
    assert store.clocks(["others"]) == {}


def test_a_zombie_announces_nothing(store: Store) -> None:
    store.acquire({A: 0})
    store.acquire({A: 0})
    store.announce({A: NOON_US}, {A: 1})
    assert store.clocks(["transactions"]) == {A: Clock(0, None)}


def test_a_load_can_be_left_half_way(store: Store) -> None:
    store.acquire({A: 0})
    store.commit(Effects([step(A, 1, 0, 2)], [segment(A, 0, 1), segment(A, 1, 2)]))

    assert next(iter(store.load_segments([A], {}))) == segment(A, 0, 1)
    store.commit(Effects([step(A, 1, 2, 3)]))


def test_forgotten_segments_are_those_before_the_time_of_their_partition(store: Store) -> None:
    store.acquire({A: 0, B: 0})
    old, young = segment(A, 0, 5, NOON_US), segment(A, 5, 9, NOON_US + 1)
    other = segment(B, 0, 5, NOON_US)
    store.commit(Effects([step(A, 1, 0, 9), step(B, 1, 0, 5)], [old, young, other]))

    assert store.forget_segments({A: Position(1, 9, NOON_US + 1)}, 0) == 1
    assert by_partition(store.load_segments([A, B], {})) == [young, other]


def test_segments_are_kept_for_a_span_of_event_time(store: Store) -> None:
    store.acquire({A: 0, B: 0})
    old, young = segment(A, 0, 5, NOON_US), segment(A, 5, 9, NOON_US + 10)
    store.commit(Effects([step(A, 1, 0, 9, NOON_US + 20)], [old, young]))
    reached = {A: Position(1, 9, NOON_US + 20), B: Position(1, 0, None)}

    assert store.forget_segments(reached, 20) == 0
    assert store.forget_segments(reached, 19) == 1
    assert list(store.load_segments([A], {})) == [young]


def test_a_zombie_forgets_no_segments(store: Store) -> None:
    store.acquire({A: 0, B: 0})
    segments = [segment(A, 0, 5, NOON_US), segment(B, 0, 5, NOON_US)]
    store.commit(Effects([step(A, 1, 0, 5), step(B, 1, 0, 5)], segments))
    store.acquire({A: 0})

    assert (
        store.forget_segments({A: Position(1, 5, NOON_US + 1), B: Position(1, 5, NOON_US + 1)}, 0)
        == 1
    )
    assert by_partition(store.load_segments([A, B], {})) == segments[:1]


def test_groups_share_no_state(backend: Backend) -> None:
    mine, others = backend.store("scorers"), backend.store("shadow")
    mine.acquire({A: 0})
    mine.commit(Effects([step(A, 1, 0, 5)], [segment(A, 0, 5)]))

    assert others.positions("transactions") == {}
    assert others.acquire({A: 0}) == {A: Position(1, 0, None)}
    assert list(others.load_segments([A], {})) == []
    others.commit(Effects([step(A, 1, 0, 5)], [segment(A, 0, 5)]))
    assert others.forget_segments({A: Position(1, 9, NOON_US + 1)}, 0) == 1
    assert list(mine.load_segments([A], {})) == [segment(A, 0, 5)]
    assert mine.positions("transactions") == {A: Position(1, 5, NOON_US)}


def test_groups_at_the_same_place_do_not_move_each_other(backend: Backend) -> None:
    mine, others = backend.store("scorers"), backend.store("shadow")
    mine.acquire({A: 0})
    others.acquire({A: 0})
    mine.commit(Effects([step(A, 1, 0, 5)]))

    assert others.positions("transactions") == {A: Position(1, 0, None)}


def test_the_epoch_of_another_group_does_not_pass_the_fence(backend: Backend) -> None:
    mine, others = backend.store("scorers"), backend.store("shadow")
    others.acquire({A: 0})
    mine.acquire({A: 0})
    mine.acquire({A: 0})

    with pytest.raises(Fenced):
        mine.commit(Effects([step(A, 1, 0, 5)]))


def test_topics_are_told_apart(store: Store) -> None:
    labels = Partition("labels", 0)
    store.acquire({A: 0, labels: 7})

    assert store.positions("labels") == {labels: Position(1, 7, None)}
    assert set(store.totals("transactions")) == {A}


@pytest.mark.parametrize("late", [None, NOON_US - HOUR_US])
def test_event_time_never_goes_back(store: Store, late: int | None) -> None:
    store.acquire({A: 0})
    store.commit(Effects([step(A, 1, 0, 5, NOON_US)]))
    store.commit(Effects([step(A, 1, 5, 9, late)]))

    assert store.positions("transactions") == {A: Position(1, 9, NOON_US)}


def test_counts_add_up_over_batches_and_takeovers(store: Store) -> None:
    first, second = Counts(10, 4, 3, 2, 1), Counts(5, 5, 0, 0, 0)
    store.acquire({A: 0})
    assert store.totals("transactions") == {A: Counts()}
    store.commit(Effects([replace(step(A, 1, 0, 10), counts=first)]))
    store.acquire({A: 0})
    store.commit(Effects([replace(step(A, 2, 10, 15), counts=second)]))

    assert store.totals("transactions") == {A: Counts(15, 9, 3, 2, 1)}
