"""Each invariant's check passes what is right, and names what is lost, doubled or changed."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from flagpost.core.calendar import HOUR_US
from flagpost.core.effects import Counts
from flagpost.events import Partition
from flagpost.postgres.times import to_us
from flagpost.torture.invariants.journal import SegmentRow, check_journal, check_segments
from flagpost.torture.invariants.kafka import check_kafka, check_told
from flagpost.torture.invariants.passwords import check_no_secret
from flagpost.torture.invariants.positions import (
    Standing,
    check_checkpoints,
    check_ends,
    check_owners,
    check_standings,
    check_steps,
)
from flagpost.torture.invariants.progress import Silence, chances_of, check_progress
from flagpost.torture.invariants.tables import (
    check_dead_letters,
    check_flagged,
    check_kept,
    check_labels,
    check_spread,
    check_totals,
)
from flagpost.torture.invariants.violations import Harm, Violation
from flagpost.torture.kafka_commits import KafkaCommit
from flagpost.torture.ledger import Step, Takeover
from flagpost.torture.truth import (
    Cell,
    Fate,
    FlaggedRow,
    KeptRow,
    LabelRow,
    Letter,
    Sums,
    Truth,
)

P = Partition("payments", 0)
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
REASONS = [{"code": "AMOUNT_UNUSUAL", "log_odds": 2.5}]
FLAGGED = FlaggedRow("TX1", "C1", "T1", BEGAN, Decimal("7.00"), 0.9, "HIGH", REASONS, "m1", b"1.5")
KEPT = {
    0: KeptRow(
        "TX0", "C1", None, BEGAN, 0.1, is_flagged=False, model_version="m1", features=b"0.5"
    ),
    1: KeptRow("TX1", "C1", "T1", BEGAN, 0.9, is_flagged=True, model_version="m1", features=b"1.5"),
    4: KeptRow(
        "TX4", "C2", "T1", BEGAN, 0.2, is_flagged=False, model_version="m1", features=b"2.5"
    ),
}
LABEL = LabelRow("TX1", "C1", "T1", BEGAN, is_fraud=True, known_at=BEGAN, source="review")
LETTER = Letter(b"C1", b"{", "not_json", "", "It is no JSON.")
TRUTH = Truth(
    fates=np.array([Fate.CLEAN, Fate.FLAGGED, Fate.DEAD, Fate.DUPLICATE, Fate.CLEAN], np.int8),
    sent_us=np.zeros(5, np.int64),
    stream_time_us=np.arange(5),
    flagged={1: FLAGGED},
    kept=KEPT,
    labels={1: LABEL},
    letters={2: LETTER},
    totals={Cell("m1", 3, "NORMAL"): Sums(2, 700, 300_000)},
    spread={"m1": [1, 1]},
    entry_offsets=np.array([0, 1, 4]),
    entries=np.array([[10, 1], [11, 1], [14, 1]]),
)
TRUTHS = {P: TRUTH}


def step(start: int, end: int, *counts: int) -> Step:
    return Step(P, "one", "one", BEGAN, start, end, Counts(*counts))


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


def test_kafka_has_to_be_told_something_of_every_partition_that_went_on() -> None:
    def told(*offsets: int) -> list[KafkaCommit]:
        return [KafkaCommit(P, offset, BEGAN_MS) for offset in offsets]

    assert harms(check_told(told(2), [END])) == []
    assert harms(check_told(told(2, 5), [END])) == []
    assert harms(check_told([], [replace(END, next_offset=0)])) == []
    assert harms(check_told([], [END])) == [(Harm.OTHER, None)]
    assert harms(check_told(told(0), [END])) == [(Harm.OTHER, None)]
    assert harms(check_told(told(5, 6), [END])) == [(Harm.OTHER, None)]


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


HALF_HOURS = replace(
    TRUTH,
    fates=np.array([Fate.DEAD, Fate.CLEAN, Fate.DEAD, Fate.CLEAN, Fate.CLEAN], np.int8),
    stream_time_us=np.array([0, 9, 9, 9.5, 10]) * HOUR_US,
)


@pytest.mark.parametrize(
    ("ends", "found"),
    [
        ([5], {(P, 0): 9 * HOUR_US}),
        ([1, 5], {(P, 0): None, (P, 1): 9 * HOUR_US}),
        ([2, 4, 5], {(P, 0): 9 * HOUR_US, (P, 4): 10 * HOUR_US}),
        ([2, 5], {(P, 0): 9 * HOUR_US, (P, 2): 9 * HOUR_US + HOUR_US // 2}),
    ],
    ids=["first", "bad ones first", "at its beginning", "in its midst"],
)
def test_a_step_that_opens_an_hour_has_to_have_a_checkpoint(
    ends: list[int], found: dict[tuple[Partition, int], int | None]
) -> None:
    steps = [step(start, end) for start, end in zip([0, *ends], ends, strict=False)]
    truths = {P: HALF_HOURS}
    last = max(found)

    assert harms(check_checkpoints(found, steps, truths)) == []
    assert harms(check_checkpoints({}, steps, truths)) == [(Harm.LOST, at) for _, at in found]
    assert harms(check_checkpoints(found | {(P, 3): 0}, steps, truths)) == [(Harm.OTHER, 3)]
    assert harms(check_checkpoints(found | {last: 7}, steps, truths)) == [(Harm.CHANGED, last[1])]


def test_a_step_is_counted_in_the_last_hour_of_its_first_day() -> None:
    at_night = replace(HALF_HOURS, stream_time_us=np.array([0, 23, 23, 23.5, 25]) * HOUR_US)
    steps = [step(0, 2), step(2, 5)]

    assert harms(check_checkpoints({(P, 0): 23 * HOUR_US}, steps, {P: at_night})) == []


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ([((P, 1), FLAGGED)], []),
        ([], [(Harm.LOST, 1)]),
        ([((P, 1), FLAGGED), ((P, 1), FLAGGED)], [(Harm.DOUBLED, 1)]),
        ([((P, 1), FLAGGED), ((P, 4), FLAGGED)], [(Harm.DOUBLED, 4)]),
    ],
    ids=["right", "missing", "twice", "one too many"],
)
def test_the_fraud_table_has_to_have_what_the_offline_pass_flags(
    rows: list[tuple[tuple[Partition, int], FlaggedRow]], found: list[tuple[Harm, int | None]]
) -> None:
    assert harms(check_flagged(rows, TRUTHS)) == found


@pytest.mark.parametrize(
    "wrong",
    [
        {"transaction_id": "TX4"},
        {"user_id": "C2"},
        {"terminal_id": None},
        {"ts": BEGAN + timedelta(microseconds=1)},
        {"amount": Decimal("7.01")},
        {"fraud_probability": np.nextafter(0.9, 1)},
        {"risk_level": "LOW"},
        {"reasons": []},
        {"model_version": "m2"},
        {"features": b"1.6"},
    ],
    ids=list(FlaggedRow._fields),
)
def test_no_column_of_the_fraud_table_may_be_another(wrong: dict[str, Any]) -> None:
    [violation] = check_flagged([((P, 1), FLAGGED._replace(**wrong))], TRUTHS)

    assert (violation.harm, violation.offset) == (Harm.CHANGED, 1)
    assert violation.text.startswith(f"the fraud table: {next(iter(wrong))} is ")


@pytest.mark.parametrize(
    "wrong",
    [
        {"fraud_probability": np.nextafter(0.2, 1)},
        {"is_flagged": True},
        {"user_id": "C1"},
        {"features": b"2.6"},
    ],
    ids=["last bit", "flagged", "user", "features"],
)
def test_the_score_of_a_clean_transaction_has_to_be_that_of_the_offline_pass(
    wrong: dict[str, Any],
) -> None:
    kept = [((P, offset), row) for offset, row in KEPT.items()]

    assert harms(check_kept(kept, TRUTHS)) == []
    assert harms(check_kept(kept[1:], TRUTHS)) == [(Harm.LOST, 0)]
    changed = [*kept[:2], ((P, 4), KEPT[4]._replace(**wrong))]
    assert harms(check_kept(changed, TRUTHS)) == [(Harm.CHANGED, 4)]


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
    assert harms(check_labels([((P, 1), LABEL)], TRUTHS)) == []
    assert harms(check_labels([((P, 1), LABEL)] * 2, TRUTHS)) == [(Harm.DOUBLED, 1)]
    assert harms(check_labels([((P, 3), LABEL)], TRUTHS)) == [(Harm.LOST, 1), (Harm.DOUBLED, 3)]


@pytest.mark.parametrize(
    "wrong",
    [
        {"transaction_id": "TX2"},
        {"user_id": None},
        {"terminal_id": "T2"},
        {"ts": BEGAN + timedelta(microseconds=1)},
        {"is_fraud": False},
        {"known_at": BEGAN + timedelta(microseconds=1)},
        {"source": "customer"},
    ],
    ids=list(LabelRow._fields),
)
def test_labels_have_to_say_what_their_messages_told(wrong: dict[str, Any]) -> None:
    rows = [((P, 1), LABEL._replace(**wrong))]

    assert harms(check_labels(rows, TRUTHS)) == [(Harm.CHANGED, 1)]


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


@pytest.mark.parametrize(
    ("rows", "checkpoints", "found"),
    [
        ([(0, 2, 2), (2, 5, 1)], [0, 2], []),
        ([(0, 5, 3)], [0, 5], []),
        ([(0, 5, 3)], [0, 2], [(Harm.OTHER, 0)]),
        ([(0, 2, 2), (1, 5, 2)], [], [(Harm.DOUBLED, 1)]),
        ([(0, 5, 2)], [], [(Harm.LOST, 0)]),
        ([(0, 2, 3)], [], [(Harm.DOUBLED, 0)]),
    ],
    ids=["apart", "merged", "over a checkpoint", "overlap", "too few", "too many"],
)
def test_segments_have_to_hold_what_lies_between_their_offsets(
    rows: list[tuple[int, int, int]],
    checkpoints: list[int],
    found: list[tuple[Harm, int | None]],
) -> None:
    segments = [SegmentRow(P, *row) for row in rows]

    assert harms(check_segments(segments, [(P, at) for at in checkpoints], TRUTHS)) == found


def test_the_dead_letters_have_to_be_the_bad_messages() -> None:
    assert harms(check_dead_letters([((P, 2), LETTER)] * 2, TRUTHS)) == []
    assert harms(check_dead_letters([((P, 0), LETTER)], TRUTHS)) == [
        (Harm.LOST, 2),
        (Harm.DOUBLED, 0),
    ]


@pytest.mark.parametrize(
    "wrong",
    [{"key": None}, {"value": b"gone"}, {"reason": "empty"}, {"field": "amount"}, {"detail": ""}],
    ids=list(Letter._fields),
)
def test_a_dead_letter_has_to_be_what_the_bad_message_was(wrong: dict[str, Any]) -> None:
    letters = [((P, 2), LETTER._replace(**wrong))]

    assert harms(check_dead_letters(letters, TRUTHS)) == [(Harm.CHANGED, 2)]


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

    assert harms(check_progress(chances_of([SILENCE], TAKEN, steps, BEHIND))) == found


@pytest.mark.parametrize(
    "takeover",
    [Takeover(P, "two", at(0.5)), Takeover(P, "three", at(0.5)), Takeover(P, "one", at(8.9))],
    ids=["of the silent one", "of one that is gone", "about to move"],
)
def test_a_partition_that_no_other_keeps_need_not_go_on(takeover: Takeover) -> None:
    assert harms(check_progress(chances_of([SILENCE], TAKEN, BEFORE, BEHIND))) == [(Harm.OTHER, 1)]
    assert harms(check_progress(chances_of([SILENCE], [*TAKEN, takeover], BEFORE, BEHIND))) == []


def test_nothing_need_go_on_beside_a_partition_whose_time_nobody_knows() -> None:
    steps = [BEFORE[0]]

    assert list(chances_of([SILENCE], TAKEN, steps, BEHIND)) == []
    assert harms(check_progress(chances_of([SILENCE], TAKEN, steps, BEHIND))) == []
