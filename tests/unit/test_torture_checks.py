"""Each invariant's check passes what is right, and names what is lost, doubled or changed."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest

from flagpost.core.effects import Advance, Counts, LabelIdentity
from flagpost.events import Partition
from flagpost.torture.checks import (
    Harm,
    ScoredRow,
    Violation,
    check_dead_letters,
    check_epochs,
    check_flagged,
    check_journal,
    check_kept,
    check_labels,
    check_no_secret,
    check_steps,
)
from flagpost.torture.ledger import Step
from flagpost.torture.truth import Fate, Truth

P = Partition("payments", 0)
TRUTH = Truth(
    fates=np.array([Fate.CLEAN, Fate.FLAGGED, Fate.DEAD, Fate.DUPLICATE, Fate.CLEAN], np.int8),
    names={0: "TX0", 1: "TX1", 4: "TX4"},
    labels={1: ("TX1", 7, True)},
    fraud_probability=np.array([0.1, 0.9, 0.0, 0.0, 0.2]),
    model_version=dict.fromkeys((0, 1, 4), "m1"),
    entry_offsets=np.array([0, 1, 4]),
    entries=np.array([[10, 1], [11, 1], [14, 1]]),
)
TRUTHS = {P: TRUTH}
FLAGGED = ScoredRow(P, 1, "TX1", 0.9, "m1")


def step(start: int, end: int, *counts: int, epoch: int = 1) -> Step:
    return Step(P, epoch, start, end, Counts(*counts))


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
    mine = Advance(P, 1, 0, 2, None, Counts())

    assert harms(check_epochs(RIGHT[:1], [mine, replace(mine, epoch=2)])) == []
    assert harms(check_epochs(RIGHT[:1], [replace(mine, epoch=2)])) == [(Harm.OTHER, 0)]


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
