"""Each invariant's check passes what is right, and names what is lost, doubled or changed."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from flagpost.core.calendar import HOUR_US
from flagpost.core.effects import Counts, LabelIdentity
from flagpost.events import Partition
from flagpost.postgres.times import to_us
from flagpost.torture.checks import (
    Harm,
    ScoredRow,
    Silence,
    Standing,
    Violation,
    check_dead_letters,
    check_ends,
    check_flagged,
    check_journal,
    check_kafka,
    check_kept,
    check_labels,
    check_no_secret,
    check_owners,
    check_progress,
    check_spread,
    check_standings,
    check_steps,
    check_totals,
)
from flagpost.torture.kafka_commits import KafkaCommit
from flagpost.torture.ledger import Step, Takeover
from flagpost.torture.truth import Cell, Fate, Sums, Truth

P = Partition("payments", 0)
TRUTH = Truth(
    fates=np.array([Fate.CLEAN, Fate.FLAGGED, Fate.DEAD, Fate.DUPLICATE, Fate.CLEAN], np.int8),
    sent_us=np.zeros(5, np.int64),
    stream_time_us=np.arange(5),
    names={0: "TX0", 1: "TX1", 4: "TX4"},
    labels={1: ("TX1", 7, True)},
    fraud_probability=np.array([0.1, 0.9, 0.0, 0.0, 0.2]),
    model_version=dict.fromkeys((0, 1, 4), "m1"),
    totals={Cell("m1", 3, "NORMAL"): Sums(2, 700, 300_000)},
    spread={"m1": [1, 1]},
    entry_offsets=np.array([0, 1, 4]),
    entries=np.array([[10, 1], [11, 1], [14, 1]]),
)
TRUTHS = {P: TRUTH}
FLAGGED = ScoredRow(P, 1, "TX1", 0.9, "m1")


def step(start: int, end: int, *counts: int) -> Step:
    return Step(P, "one", "one", BEGAN, start, end, Counts(*counts))


BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
RIGHT = [step(0, 2, 2, 1, 1, 0, 0), step(2, 5, 3, 1, 0, 1, 1)]


def harms(violations: Iterable[Violation]) -> list[tuple[Harm, int | None]]:
    return [(violation.harm, violation.offset) for violation in violations]


@pytest.mark.parametrize(
    ("steps", "found"),
    [
        (RIGHT, []),
        (RIGHT[:1], [(Harm.LOST, 2)]),
        ([step(1, 5, 4, 1, 1, 1, 1)], [(Harm.LOST, 1)]),
        ([*RIGHT, step(2, 5, 3, 1, 0, 1, 1)], [(Harm.DOUBLED, 2)]),
        ([step(0, 5, 5, 3, 0, 1, 1)], [(Harm.CHANGED, 0)]),
    ],
    ids=["right", "no end", "gap", "twice", "counts"],
)
def test_steps_have_to_tile_a_partition(
    steps: list[Step], found: list[tuple[Harm, int | None]]
) -> None:
    assert harms(check_steps(steps, TRUTHS)) == found


def test_a_step_has_to_be_made_by_the_owner() -> None:
    assert harms(check_owners(RIGHT)) == []
    assert harms(check_owners([RIGHT[0], replace(RIGHT[1], writer="two")])) == [(Harm.OTHER, 2)]


BEGAN_MS = to_us(BEGAN) // 1000


@pytest.mark.parametrize(
    ("offset", "seconds", "found"),
    [
        (0, -1, []),
        (1, 0, []),
        (2, 0, []),
        (2, -1, [(Harm.OTHER, 2)]),
        (3, 9, [(Harm.OTHER, 3)]),
        (3, 10, []),
        (5, 11, []),
        (6, 11, [(Harm.OTHER, 6)]),
    ],
)
def test_kafka_may_be_told_of_an_offset_when_a_step_has_come_that_far(
    offset: int, seconds: int, found: list[tuple[Harm, int | None]]
) -> None:
    steps = [RIGHT[0], replace(RIGHT[1], at=BEGAN + timedelta(seconds=10))]

    assert harms(check_kafka([KafkaCommit(P, offset, BEGAN_MS + 1000 * seconds)], steps)) == found


END = Standing(P, 5, 4, Counts(5, 2, 1, 1, 1))


@pytest.mark.parametrize(
    ("positions", "found"),
    [
        ([END], []),
        ([replace(END, next_offset=4)], [(Harm.LOST, 4)]),
        ([replace(END, next_offset=6)], [(Harm.OTHER, 6)]),
        ([replace(END, counts=Counts(5, 2, 2, 0, 1))], [(Harm.CHANGED, None)]),
        ([], [(Harm.LOST, 0), (Harm.CHANGED, None)]),
    ],
    ids=["right", "short", "beyond", "counted again", "gone"],
)
def test_a_partition_has_to_stand_at_its_end_by_its_steps(
    positions: list[Standing], found: list[tuple[Harm, int | None]]
) -> None:
    assert harms(check_ends(positions, RIGHT, TRUTHS)) == found


@pytest.mark.parametrize(
    ("standing", "found"),
    [
        (END, []),
        (Standing(P, 2, 1, Counts(2, 1, 1, 0, 0)), []),
        (Standing(P, 0, None, Counts()), []),
        (replace(END, counts=Counts(5, 2, 2, 0, 1)), [(Harm.CHANGED, 5)]),
        (replace(END, event_time_us=3), [(Harm.CHANGED, 5)]),
    ],
    ids=["end", "middle", "beginning", "counts", "time"],
)
def test_a_position_has_to_count_all_before_it(
    standing: Standing, found: list[tuple[Harm, int | None]]
) -> None:
    assert harms(check_standings([standing], TRUTHS)) == found


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ([FLAGGED], []),
        ([], [(Harm.LOST, 1)]),
        ([FLAGGED, FLAGGED], [(Harm.DOUBLED, 1)]),
        ([FLAGGED, replace(FLAGGED, offset=4)], [(Harm.DOUBLED, 4)]),
        ([replace(FLAGGED, fraud_probability=np.nextafter(0.9, 1))], [(Harm.CHANGED, 1)]),
        ([replace(FLAGGED, model_version="m2")], [(Harm.CHANGED, 1)]),
    ],
    ids=["right", "missing", "twice", "one too many", "last bit", "model"],
)
def test_the_fraud_table_has_to_be_that_of_the_offline_pass(
    rows: list[ScoredRow], found: list[tuple[Harm, int | None]]
) -> None:
    assert harms(check_flagged(rows, TRUTHS)) == found


def test_the_score_of_a_clean_transaction_has_to_be_that_of_the_offline_pass() -> None:
    kept = [ScoredRow(P, 0, "TX0", 0.1, "m1"), FLAGGED, ScoredRow(P, 4, "TX4", 0.2, "m1")]
    changed = replace(kept[2], fraud_probability=np.nextafter(0.2, 1))

    assert harms(check_kept(kept, TRUTHS)) == []
    assert harms(check_kept(kept[1:], TRUTHS)) == [(Harm.LOST, 0)]
    assert harms(check_kept([*kept[:2], changed], TRUTHS)) == [(Harm.CHANGED, 4)]


CELL = Cell("m1", 3, "NORMAL")


@pytest.mark.parametrize(
    ("totals", "found"),
    [
        ({(P, CELL): Sums(2, 700, 300_000)}, []),
        ({}, [Harm.LOST]),
        ({(P, CELL): Sums(4, 1_400, 600_000)}, [Harm.DOUBLED]),
        ({(P, CELL): Sums(2, 700, 300_001)}, [Harm.CHANGED]),
        ({(P, CELL._replace(hour=4)): Sums(2, 700, 300_000)}, [Harm.LOST, Harm.DOUBLED]),
    ],
    ids=["right", "missing", "twice", "a millionth", "another hour"],
)
def test_the_totals_have_to_hold_each_transaction_once(
    totals: dict[tuple[Partition, Cell], Sums], found: list[Harm]
) -> None:
    assert [violation.harm for violation in check_totals(totals, TRUTHS)] == found


@pytest.mark.parametrize(
    ("spread", "found"),
    [
        ({(P, "m1"): [1, 1]}, []),
        ({}, [Harm.LOST]),
        ({(P, "m1"): [2, 2]}, [Harm.DOUBLED]),
        ({(P, "m1"): [2, 0]}, [Harm.CHANGED]),
        ({(P, "m2"): [1, 1]}, [Harm.LOST, Harm.DOUBLED]),
    ],
    ids=["right", "missing", "twice", "another bin", "another model"],
)
def test_the_spread_has_to_hold_each_sampled_transaction_once(
    spread: dict[tuple[Partition, str], list[int]], found: list[Harm]
) -> None:
    assert [violation.harm for violation in check_spread(spread, TRUTHS)] == found


def test_labels_have_to_be_stored_from_the_message_that_told_them_first() -> None:
    label = ("TX1", 7, True)

    assert harms(check_labels({(P, 1): label}, TRUTHS)) == []
    assert harms(check_labels({(P, 3): label}, TRUTHS)) == [(Harm.LOST, 1), (Harm.DOUBLED, 3)]


@pytest.mark.parametrize("label", [("TX2", 7, True), ("TX1", 8, True), ("TX1", 7, False)])
def test_labels_have_to_say_what_their_messages_told(label: LabelIdentity) -> None:
    assert harms(check_labels({(P, 1): label}, TRUTHS)) == [(Harm.CHANGED, 1)]


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ([0, 1, 2], []),
        ([0, 2], [(Harm.LOST, 1)]),
        ([0, 1, 1, 2], [(Harm.DOUBLED, 1)]),
        ([1, 0, 2], [(Harm.CHANGED, 0)]),
    ],
    ids=["right", "missing", "twice", "order"],
)
def test_the_journal_has_to_hold_what_was_accepted_in_order(
    rows: list[int], found: list[tuple[Harm, int | None]]
) -> None:
    assert harms(check_journal({P: TRUTH.entries[rows]}, TRUTHS)) == found


def test_the_dead_letters_have_to_be_the_bad_messages() -> None:
    assert harms(check_dead_letters([(P, 2), (P, 2)], TRUTHS)) == []
    assert harms(check_dead_letters([(P, 0)], TRUTHS)) == [(Harm.LOST, 2), (Harm.CHANGED, 0)]


def test_no_text_may_hold_a_password() -> None:
    assert list(check_no_secret({"a log": "all is well"}, ["hush"])) == []
    [violation] = check_no_secret({"a log": "at hush@db"}, ["hush"])
    assert violation.invariant == "I7"
    assert "hush" not in violation.text


Q = Partition("payments", 1)


def replayed(*hours: int) -> Truth:
    """A partition that is sent at once, with events of these hours."""
    return replace(
        TRUTH,
        sent_us=np.full(len(hours), to_us(BEGAN)),
        stream_time_us=HOUR_US * (10 + np.array(hours)),
    )


def at(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


BEHIND = {P: replayed(0, 6, 12, 13), Q: replayed(0, 1)}
TAKEN = [Takeover(P, "one", BEGAN), Takeover(Q, "two", BEGAN)]
BEFORE = [
    replace(RIGHT[0], partition=partition, start_offset=0, next_offset=1) for partition in BEHIND
]
SILENCE = Silence("two", frozenset({"one"}), at(1))


@pytest.mark.parametrize(
    ("seconds", "to", "found"),
    [(4, 3, []), (4, 2, []), (7, 4, [(Harm.OTHER, 1)]), (1.5, 2, [(Harm.OTHER, 2)]), (1.5, 3, [])],
    ids=["as far as it may", "slowly", "late", "and stops", "and may not"],
)
def test_while_a_member_is_silent_the_others_have_to_go_on(
    seconds: float, to: int, found: list[tuple[Harm, int | None]]
) -> None:
    steps = [*BEFORE, replace(RIGHT[0], at=at(seconds), start_offset=1, next_offset=to)]

    assert harms(check_progress([SILENCE], TAKEN, steps, BEHIND)) == found


@pytest.mark.parametrize(
    "takeover",
    [Takeover(P, "two", at(0.5)), Takeover(P, "three", at(0.5)), Takeover(P, "one", at(8.9))],
    ids=["of the silent one", "of one that is gone", "about to move"],
)
def test_a_partition_that_no_other_keeps_need_not_go_on(takeover: Takeover) -> None:
    assert harms(check_progress([SILENCE], TAKEN, BEFORE, BEHIND)) == [(Harm.OTHER, 1)]
    assert harms(check_progress([SILENCE], [*TAKEN, takeover], BEFORE, BEHIND)) == []


def test_nothing_need_go_on_beside_a_partition_whose_time_nobody_knows() -> None:
    steps = [BEFORE[0]]

    assert harms(check_progress([SILENCE], TAKEN, steps, BEHIND)) == []
