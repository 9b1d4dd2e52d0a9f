"""When payments were sent and rows were seen, without servers."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.latency import FAST, SLOW, Latency, Watched, section_of, summarise
from bench.payments import draw_payments, labelled_with, row_of, transaction_id
from bench.programs.load import Sent, read_sent
from bench.visibility import Snapshot, begun_between, first_seen_ns, parse_snapshot
from flagpost.settings import Settings

MS = 1_000_000


def snapshot(at_ms: int, text: str) -> Snapshot:
    return parse_snapshot(text, at_ms * MS)


def test_a_snapshot_tells_what_is_under_way() -> None:
    assert parse_snapshot("10:20:10,14", 5) == Snapshot(5, 20, frozenset({10, 14}))
    assert parse_snapshot("10:10:", 5) == Snapshot(5, 10, frozenset())


def test_a_row_is_visible_when_its_transaction_is_over_and_not_when_it_has_begun() -> None:
    seen = [snapshot(1, "7:7:"), snapshot(2, "7:9:7,8"), snapshot(3, "7:9:7"), snapshot(4, "9:9:")]

    assert first_seen_ns({7, 8}, seen) == {7: 4 * MS, 8: 3 * MS}


def test_what_was_never_seen_to_be_over_is_no_latency() -> None:
    with pytest.raises(IndexError):
        first_seen_ns({8}, [snapshot(1, "7:9:7,8")])


def test_writing_transactions_are_counted_between_two_moments() -> None:
    seen = [snapshot(1, "3:3:"), snapshot(2, "5:5:"), snapshot(3, "9:9:"), snapshot(9, "50:50:")]

    assert begun_between(seen, 2 * MS, 9 * MS) == 4


def watched(seen_ms: list[int], sent_ms: list[int]) -> Watched:
    sent_ns = np.array(sent_ms) * MS
    return Watched(
        settings=Settings(),
        sent=Sent(due_ns=sent_ns, sent_ns=sent_ns, acknowledged_ns=sent_ns + 2 * MS),
        writers={transaction_id(row).decode(): 10 + row for row in range(len(sent_ms))},
        snapshots=[snapshot(0, "10:10:")]
        + [snapshot(at, f"{11 + row}:{11 + row}:") for row, at in enumerate(seen_ms)],
        stolen_percent=0,
    )


def test_the_first_row_and_the_warm_up_stand_apart() -> None:
    found = summarise(watched([500, 1_030, 2_005, 2_009], [0, 1_000, 2_000, 2_001]), 1.5)

    assert found.first_ms == 498
    assert (found.n_rows, found.ms[0], found.ms[1]) == (2, 8, 8)
    assert found.acknowledged_ms == 2


def test_latencies_are_taken_from_the_moment_of_sending_and_lateness_is_told() -> None:
    run = watched([5, 1_030], [0, 1_000])
    late = run.sent._replace(due_ns=run.sent.due_ns - 3 * MS)

    found = summarise(replace(run, sent=late), 0)

    assert found.ms[1] == 30
    assert found.late_ms == 3


def test_a_payment_and_its_label_are_json_that_names_the_same_transaction() -> None:
    payments = draw_payments(2_000, 0.1)

    payment = json.loads(payments.message(7, b"2026-01-01T00:00:00.123Z"))
    label = json.loads(payments.label(7, b"2026-01-01T00:00:00.123Z", b"2026-01-02T00:00:00Z"))

    assert row_of(payment["transaction_id"]) == 7
    assert payment.items() & label.items() == {
        (name, payment[name]) for name in ("transaction_id", "user_id", "terminal_id", "timestamp")
    }


def test_who_is_to_be_flagged_empties_the_account_and_nobody_else_does() -> None:
    payments = draw_payments(500, 0.1)

    messages = [json.loads(payments.message(row, b"")) for row in range(500)]

    empties = [each["amount"] > 0.95 * each["account_balance"] for each in messages]
    assert empties == payments.is_flagged.tolist()
    assert empties[0]


def test_labels_are_of_payments_that_came_before() -> None:
    assert labelled_with(range(900, 1_201)) == [0, 100, 200]


def latency(p50: float, p99: float) -> Latency:
    return Latency(
        n_rows=9,
        ms=(p50, p99, 2 * p99),
        acknowledged_ms=1,
        first_ms=100,
        commits_a_second=150,
        late_ms=1,
        rate=2_000,
        stolen_percent=0,
    )


def test_goals_look_at_the_median_run() -> None:
    runs = [latency(5, 15), latency(7, 19), latency(90, 500)]
    section = section_of({("confluent", SLOW): runs, ("confluent", FAST): runs})

    assert [goal.is_reached for goal in section.goals] == [True] * 5


def test_a_sent_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    sent = Sent(np.array([1, 2]), np.array([3, 4]), np.array([0, 5]))
    np.savez(tmp_path / "sent.npz", **sent._asdict())

    assert [column.tolist() for column in read_sent(tmp_path / "sent.npz")] == [
        [1, 2],
        [3, 4],
        [0, 5],
    ]
