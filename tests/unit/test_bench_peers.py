"""The job of the peers, the reference that they are checked with, and the tables."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.parts import Bench
from bench.peers.catalogue import PEERS, Peer
from bench.peers.comparison import Contestant, measure_peers, section_of
from bench.peers.installation import Installation, InstallationFailed
from bench.peers.job import (
    DAY_MS,
    FEATURES,
    HOUR_MS,
    Flagged,
    History,
    LogisticRegression,
    Scorer,
    Transaction,
    columns,
    decode,
)
from bench.peers.reference import Reference, calculate_reference, window_features
from bench.peers.runs import PeerRun
from bench.peers.task import Task
from bench.peers.timeliness import Timeliness
from bench.results import Figure, Table
from flagpost.settings import Settings

START_MS = 1_735_689_600_000
START = datetime(2025, 1, 1, tzinfo=UTC)

steps = st.sampled_from([0, 1000, HOUR_MS - 1, HOUR_MS, DAY_MS, 7 * DAY_MS, 30 * DAY_MS])
"""From one transaction to the next; some fall on the very edge of a window."""
lateness = st.one_of(st.just(0), st.integers(0, DAY_MS))


def reference_of(times_ms: list[int], cents: list[int]) -> list[list[float]]:
    times_us = 1000 * np.array(times_ms, np.int64)
    found: list[list[float]] = window_features(times_us, np.array(cents, np.int64)).tolist()
    return found


@given(st.lists(st.tuples(steps, lateness, st.integers(1, 10_000_000)), min_size=1, max_size=80))
def test_histories_have_the_features_of_the_reference_also_of_late_transactions(
    drawn: list[tuple[int, int, int]],
) -> None:
    newest_ms = START_MS + np.cumsum([step for step, _, _ in drawn])
    times_ms = (newest_ms - [late for _, late, _ in drawn]).tolist()
    cents = [each for _, _, each in drawn]
    history = History()

    found = [history.observe(*each) for each in zip(times_ms, cents, strict=True)]

    np.testing.assert_allclose(found, reference_of(times_ms, cents), rtol=1e-12)


def test_a_window_is_open_at_its_old_end_and_holds_what_came_at_the_same_time_before() -> None:
    times_ms = [START_MS, START_MS + HOUR_MS, START_MS + HOUR_MS, START_MS + HOUR_MS - 1]

    counts = [features[1] for features in reference_of(times_ms, [100] * 4)]

    assert FEATURES[1] == "customer_tx_count_1h"
    assert counts == [1, 1, 2, 2]


def test_a_history_forgets_what_no_window_reaches() -> None:
    history = History()
    for day in range(365):
        history.observe(START_MS + day * DAY_MS, 100)

    assert len(history.times_ms) < 100


def test_a_packed_history_goes_on_as_it_would_have() -> None:
    history = History()
    for hour in range(50):
        history.observe(START_MS + hour * HOUR_MS, 1 + hour)
    unpacked = History.from_bytes(history.to_bytes())

    assert unpacked.observe(START_MS, 7) == history.observe(START_MS, 7)
    assert History.from_bytes(None).observe(START_MS, 7)[:2] == (0.07, 1)


def test_the_coefficients_are_those_of_the_features() -> None:
    regression = LogisticRegression.load()

    assert regression.features == FEATURES
    assert len(regression.coefficients) == len(FEATURES)
    assert 0 < regression.threshold < 1


def log_of(transactions: list[Transaction]) -> bytes:
    return b"".join(msgspec.json.encode(each) + b"\n" for each in transactions)


def test_what_the_job_flags_is_what_the_reference_flags(tmp_path: Path) -> None:
    transactions = [
        Transaction(f"T{n}", f"C{n % 7}", START + timedelta(hours=3 * n), 10.0 + 400 * (n % 9 == 0))
        for n in range(300)
    ]
    log = tmp_path / "log.jsonl"
    log.write_bytes(log_of(transactions))
    right = calculate_reference(log)
    scorer, histories = Scorer(LogisticRegression.load().threshold), dict[str, History]()

    scored = [
        scorer.score(histories.setdefault(each.user_id, History()), each)
        for each in map(decode, log.read_bytes().splitlines())
    ]

    rows = {row.transaction_id: row.fraud_probability for row in scored if row}
    assert 0 < len(rows) < 300
    assert right.count_differing(rows) == 0
    assert right.count_differing({**rows, "T1": 0.9}) == 1


def test_rows_differ_if_missing_too_many_or_of_another_probability() -> None:
    right = Reference.of({"A": 0.9, "B": 0.5, "C": 0.1, "D": 0.5 - 1e-12}, threshold=0.5)

    assert right.flagged.keys() == {"A", "B"}
    assert right.count_differing({"A": 0.9, "B": 0.5}) == 0
    assert right.count_differing({"A": 0.9, "D": 0.5}) == 0  # B and D are as good as on it
    assert right.count_differing({"B": 0.5}) == 1
    assert right.count_differing({"A": 0.9, "B": 0.5, "C": 0.1}) == 1
    assert right.count_differing({"A": 0.9 + 1e-8, "B": 0.5}) == 1


def test_of_rows_with_one_id_the_last_is_written() -> None:
    rows = [Flagged("A", "C1", START, 1, 0.5), Flagged("A", "C1", START, 2, 0.6)]

    assert columns(rows) == [["A"], ["C1"], [START], [2], [0.6]]


@pytest.mark.parametrize("is_live", [True, False])
def test_a_task_survives_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, is_live: bool
) -> None:
    url = "postgresql://a:b@c/d"
    task = Task("broker:1", url, "topic", "group", 1_000, 0.5, 0.01, is_live, tmp_path)
    for name, value in task.to_environment().items():
        monkeypatch.setenv(name, value)

    assert Task.from_environment() == task


def peer_run(seconds: float, differing: int | None = 0) -> PeerRun:
    return PeerRun(
        seconds=seconds,
        wall_seconds=seconds + 1,
        cpu_seconds=seconds,
        flagged=8,
        differing=differing,
    )


def contestant(
    title: str, events: int, confluent: float | None = None, kafka_python: float | None = None
) -> Contestant:
    goals = {"confluent": confluent, "kafka-python": kafka_python}
    return Contestant(
        title,
        events,
        lambda: peer_run(1.0),
        {client: goal for client, goal in goals.items() if goal},  # type: ignore[misc]
    )


def cells(table: Table, name: str) -> list[object]:
    [found] = [row.cells for row in table.rows if row.name == name]
    return [cell.median if isinstance(cell, Figure) else cell for cell in found]


def test_rates_are_of_the_events_that_each_got_and_goals_of_medians() -> None:
    flagpost, slow = contestant("Flagpost", 100_000), contestant("slow", 1_000, 5, 1)
    runs = {
        flagpost: [peer_run(seconds, None) for seconds in (0.5, 1.0, 9.0)],
        slow: [peer_run(seconds) for seconds in (0.01, 0.05, 0.09)],
    }

    latencies = {"slow": [Timeliness(9, (1.0, 2.0, 3.0)), Timeliness(9, (3.0, 4.0, 9.0))]}

    section = section_of(runs, {"confluent": flagpost}, latencies, ["Faust"])

    speed, latency, rows = section.tables
    assert cells(speed, "Flagpost")[:3] == [100, 2.0, 10.0]
    assert cells(speed, "slow")[:3] == [20, 1.05, 50.0]
    assert cells(rows, "Flagpost") == [100_000, 8, None]
    assert cells(rows, "slow") == [1_000, 8, 0]
    assert cells(latency, "slow") == [2.0, 3.0, 6.0, 9]
    goal, same_rows = section.goals
    assert same_rows.is_reached
    assert (goal.name, goal.found, goal.is_reached) == ("Flagpost / slow", 5.0, True)
    assert "Not installed, so not measured: Faust. `python -m bench.peers install`" in section.how


def test_a_row_that_differs_misses_a_goal() -> None:
    flagpost, wrong = contestant("Flagpost", 1_000), contestant("wrong", 1_000, 1)
    runs = {flagpost: [peer_run(1.0, None)], wrong: [peer_run(1.0), peer_run(1.0, differing=1)]}

    *_, same_rows = section_of(runs, {"confluent": flagpost}, {}, []).goals

    assert (same_rows.found, same_rows.is_reached) == (1, False)


def test_without_any_peer_the_part_says_how_to_install_them_and_runs_nothing(
    tmp_path: Path,
) -> None:
    absent = [replace(peer, installation=installation(tmp_path)) for peer in PEERS]
    servers = Settings(kafka_bootstrap="nowhere:1")
    bench = Bench(stack=servers, clients=["confluent"], repeats=1, events=1_000, is_quick=True)

    section = measure_peers(bench, lambda _: None, absent)

    assert section.tables == []
    assert "python -m bench.peers install" in section.how


def installation(folder: Path, fill: Callable[[], None] = lambda: None) -> Installation:
    (folder / "a.txt").touch()
    return Installation(folder / "home", folder / "a.txt", fill)


def test_an_installation_is_made_once_and_again_when_its_lock_changes(tmp_path: Path) -> None:
    filled = list[str]()
    of_a_peer = installation(tmp_path, lambda: filled.append("again"))

    was_there = [of_a_peer.is_there]
    of_a_peer.make()
    of_a_peer.make()
    was_there.append(of_a_peer.is_there)
    assert filled == ["again"]
    of_a_peer.lock.write_text("a==2")
    was_there.append(of_a_peer.is_there)
    of_a_peer.make()
    assert filled == ["again", "again"]
    assert was_there == [False, True, False]


def test_what_failed_is_not_there(tmp_path: Path) -> None:
    def fail() -> None:
        raise InstallationFailed("no such package")

    of_a_peer = installation(tmp_path, fail)

    with pytest.raises(InstallationFailed):
        of_a_peer.make()
    assert not of_a_peer.is_there


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_a_peer_has_its_version_from_a_lock_that_names_no_index(peer: Peer) -> None:
    assert re.search(r" \d+\.\d+\.\d+$", peer.full_title)
    assert "://" not in peer.installation.lock.read_text()


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_every_line_of_a_lock_has_a_hash(peer: Peer) -> None:
    lock = peer.installation.lock.read_text().replace("\\\n", "")

    assert all(re.search(r"(--hash=sha256:| )[0-9a-f]{64}$", line) for line in lock.splitlines())
