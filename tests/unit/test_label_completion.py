"""What people say of transactions becomes labels that a worker accepts, or a complaint."""

import json
from datetime import UTC, datetime

import pytest

from flagpost.labelling.completion import Completed, Defaults, KnownTransaction, Statement, complete

NOON = datetime(2025, 3, 1, 12, 0, 0, 250_000, UTC)
KNOWN = {"t1": KnownTransaction("u1", "m1", NOON), "7": KnownTransaction("u2", None, NOON)}
LATEST_US = int(datetime(2025, 4, 1, tzinfo=UTC).timestamp()) * 1_000_000


def completed(*statements: Statement, is_fraud: bool | None = True) -> Completed:
    placed = {f"line {number}": each for number, each in enumerate(statements, 2)}
    return complete(placed, KNOWN, Defaults(is_fraud, "2025-03-20", "bank"), LATEST_US)


def test_what_is_not_said_comes_from_the_tables_and_the_defaults() -> None:
    labels = completed(Statement("t1"))

    assert [json.loads(value) for value in labels.values] == [
        {
            "type": "label", "transaction_id": "t1", "user_id": "u1", "terminal_id": "m1",
            "timestamp": "2025-03-01T12:00:00.250000Z", "is_fraud": True,
            "known_at": "2025-03-20", "source": "bank",
        }
    ]  # fmt: skip
    assert labels.keys == [b"u1"]
    assert labels.problems == []
    assert labels.counts == {"fraud": 1, "found in the tables": 1, "without a terminal": 0}


def test_what_is_said_fills_what_the_tables_lack() -> None:
    said = Statement("7", timestamp="2025-03-01T12:00:00Z", user_id="u2", terminal_id="m2")

    [label] = [json.loads(value) for value in completed(said).values]

    assert (label["user_id"], label["terminal_id"]) == ("u2", "m2")
    assert label["timestamp"] == "2025-03-01T12:00:00.250000Z"


@pytest.mark.parametrize(
    ("statement", "complaint"),
    [
        (Statement("t1", user_id=5), "the tables have user_id u1 for transaction t1, not 5;"),
        (Statement("t1", terminal_id="y"), "the tables have terminal_id m1 for transaction t1,"),
        (
            Statement("t1", timestamp="2025-03-01T12:00:02Z"),
            "the tables have timestamp 2025-03-01T12:00:00.250000+00:00 for transaction t1, not",
        ),
        (Statement("t1", timestamp="garbage"), "timestamp 'garbage' is no time; one is 2026-"),
        (Statement("7", terminal_id=""), "`terminal_id`"),
    ],
)
def test_what_is_said_against_the_tables_is_refused(statement: Statement, complaint: str) -> None:
    labels = completed(statement)

    [problem] = labels.problems
    assert problem.startswith(f"line 2: {complaint}")
    assert labels.values == []


def test_what_no_table_has_is_taken_as_it_is_said() -> None:
    said = Statement("new", 0, "2025-03-05", 1740830400, "u9", "m9", "review")

    labels = completed(said)

    [label] = [json.loads(value) for value in labels.values]
    assert label == {
        "type": "label", "transaction_id": "new", "user_id": "u9", "terminal_id": "m9",
        "timestamp": 1740830400, "is_fraud": False, "known_at": "2025-03-05", "source": "review",
    }  # fmt: skip
    assert labels.counts["genuine"] == 1
    assert labels.counts["found in the tables"] == 0


def test_an_integer_is_found_by_its_decimal_text() -> None:
    labels = completed(Statement(7))

    assert labels.counts["found in the tables"] == labels.counts["without a terminal"] == 1


def test_labels_are_in_the_order_of_knowing() -> None:
    labels = completed(
        Statement("t1", known_at="2025-03-09T01:00:00+02:00"),
        Statement("t1", known_at="2025-03-08T23:30:00Z"),
        Statement("t1", known_at=1741400000),
    )

    known_at = [json.loads(value)["known_at"] for value in labels.values]
    assert known_at == [1741400000, "2025-03-09T01:00:00+02:00", "2025-03-08T23:30:00Z"]


@pytest.mark.parametrize(
    ("statement", "complaint"),
    [
        (Statement("t9"), "line 2: no table has transaction t9; give its timestamp and terminal"),
        (Statement("t9", timestamp="2025-03-01"), "line 2: no table has transaction t9; give its"),
        (Statement("t9", terminal_id="m1"), "line 2: no table has transaction t9; give its"),
        (Statement("t1", is_fraud=2), "line 2: `is_fraud`"),
        (Statement("t1", known_at="soon"), "line 2: `known_at`"),
        (Statement("t1", known_at="2025-05-01"), "line 2: `known_at`"),
        (Statement("t1", known_at="2025-02-01"), "line 2: `known_at` is before the `timestamp`"),
        (Statement("new", timestamp="2025-03-01", terminal_id=""), "line 2: `terminal_id`"),
    ],
)
def test_what_a_worker_would_refuse_is_complained_about(
    statement: Statement, complaint: str
) -> None:
    labels = completed(statement, Statement("t1"))

    [problem] = labels.problems
    assert problem.startswith(complaint)
    assert len(labels.values) == 1


def test_nothing_is_fraud_unless_somebody_says_so() -> None:
    labels = completed(Statement("t1"), is_fraud=None)

    assert labels.problems == ["line 2: is_fraud is missing; say --fraud or --genuine for all"]


def test_lines_that_contradict_each_other_are_both_refused_and_named() -> None:
    labels = completed(
        Statement(7, is_fraud=1, known_at="2025-03-20T00:00Z"),
        Statement("t1"),
        Statement("7", is_fraud=0),
        Statement("t1", is_fraud=0, known_at="2025-03-21"),
        Statement("t1"),
    )

    advice = "keep one, or give the later one a later known_at"
    assert labels.problems == [
        f"line 2: says fraud of 7, and line 4 genuine, both known_at 2025-03-20T00:00Z; {advice}",
        f"line 4: says genuine of 7, and line 2 fraud, both known_at 2025-03-20; {advice}",
    ]
    assert len(labels.values) == 3
