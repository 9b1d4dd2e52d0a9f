"""The zero-skew comparison in memory: nothing differs, and each planted skew is noticed.

`tests/end_to_end/test_zero_skew.py` makes the same comparison on the real servers.
"""

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any, cast
from zlib import crc32

import numpy as np
import pytest
from structlog.testing import capture_logs
from tenacity import wait_fixed

from flagpost.at_once import AtOnce
from flagpost.core import micro_batch
from flagpost.core.calendar import DAY_US
from flagpost.core.decision import decide
from flagpost.core.decoding import MessageDecoder
from flagpost.core.effects import Counts, Effects
from flagpost.core.features import AMOUNT_RATIO, FEATURE_NAMES, TERMINAL_RUN
from flagpost.core.observed import Observed
from flagpost.core.pipeline import ScoringRules, observe_transactions
from flagpost.core.scorer import tabulate
from flagpost.core.segment import LabelEntries
from flagpost.core.spread import TrainedSpread, bins_of
from flagpost.dead_share import DeadShare
from flagpost.events import Partition, TransactionDecoder, message_keys
from flagpost.kafka.dead_letters import DeadLetters
from flagpost.kafka.source import Record
from flagpost.label_events import Labels
from flagpost.merging import Merging
from flagpost.settings import KeepScores
from flagpost.torture.disturbed_log import write_disturbed_log
from flagpost.training.offline import decode_log, observe_log
from flagpost.worker import Worker
from tests.contract.memory_source import Log, MemorySource
from tests.contract.memory_store import Database, MemoryStore
from tests.skew import Seen, seen, skew, values_in
from tests.unit.test_worker import Letters

N_PARTITIONS = 4
FOREVER_US = 2**62
TERMINAL_VALUES = {name for name in FEATURE_NAMES if name.startswith("terminal_")}

LINE = np.array([0.0, 1e3])
RULES = ScoringRules(
    scorer=tabulate(-4.0, [AMOUNT_RATIO, TERMINAL_RUN], [LINE, LINE], [LINE, LINE]),
    threshold=0.5,
    population_mean_cents=5_000.0,
    model_version="test",
    bins=bins_of([TrainedSpread("amount", [10.0], [0.5, 0.5])]),
)


@pytest.fixture(autouse=True)
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flagpost.worker.POLL_SECONDS", 0.0)
    monkeypatch.setattr("flagpost.worker.PEER_SECONDS", 0.0)
    monkeypatch.setattr("flagpost.idleness.IDLE_SECONDS", 0.0)
    monkeypatch.setattr("flagpost.worker.wait_exponential_jitter", lambda **_: wait_fixed(0.0))


@pytest.fixture(autouse=True)
def few_rows_are_merged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flagpost.merging.MERGED_ROWS", 3)


class MergingStore(MemoryStore):
    """Without checkpoints, weeks are merged: others have heard of a part of them."""

    def begin_commit(self, effects: Effects) -> Callable[[], Counts]:
        return super().begin_commit(replace(effects, checkpoints=[]))


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("log") / "log.json"
    write_disturbed_log(path, customers=30, terminals=12, days=70, seed=11)
    return path


@pytest.fixture(scope="module")
def offline(log: Path) -> dict[str, Seen]:
    rows = observe_log(
        decode_log(log, TransactionDecoder(), FOREVER_US), RULES.population_mean_cents
    )
    scores = RULES.scorer.fraud_probabilities(rows.matrix)
    decisions = decide(scores, RULES.threshold, rows.amount_cents, rows.account_balance_cents)
    return {
        name: seen(values, score, flag)
        for name, values, score, flag in zip(
            rows.transaction_id, rows.matrix, scores, decisions.is_flagged, strict=True
        )
    }


def partitioned(path: Path) -> Log:
    log: Log = {
        Partition(topic, n): [] for topic in ("transactions", "labels") for n in range(N_PARTITIONS)
    }
    for line in path.read_bytes().splitlines():
        topic = "labels" if b'"label"' in line else "transactions"
        [user] = message_keys([line])
        partition = Partition(topic, crc32(user or b"") % N_PARTITIONS)
        log[partition].append(Record(None, line, [], None))
    return log


def member(
    source: MemorySource, database: Database, batch_messages: int, keep_scores: KeepScores = "all"
) -> Worker:
    store = MergingStore(database, "scorers")
    return Worker(
        source,
        store,
        cast("DeadLetters", Letters()),
        MessageDecoder(TransactionDecoder(), "labels"),
        RULES,
        DeadShare(1.0),
        Merging(store, AtOnce()),
        Event(),
        batch_messages=batch_messages,
        latest_event_time_us=lambda: FOREVER_US,
        keep_scores=keep_scores,
    )


def online(path: Path) -> dict[str, Seen]:
    """Score with two members that work in turns, one faster; partitions change hands on the way."""
    log, database, chance = partitioned(path), Database(), random.Random(3)
    sources = MemorySource(log), MemorySource(log)
    members = member(sources[0], database, 400), member(sources[1], database, 150)
    sources[1].take(log)
    owner, n_all = dict.fromkeys(log, 0), sum(map(len, log.values()))
    while sum(totals.n_in for totals in database.totals.values()) < n_all:
        if chance.random() < 0.1:
            partition = chance.choice(list(log))
            sources[owner[partition]].take([partition])
            owner[partition] = 1 - owner[partition]
            sources[owner[partition]].give([partition])
        for each in members:
            each._step()
    return {
        name: seen(kept.features, kept.fraud_probability, kept.is_flagged)
        for name, kept in database.kept.items()
    }


def test_what_members_score_in_turns_is_what_the_offline_pass_scores(
    log: Path, offline: dict[str, Seen]
) -> None:
    with capture_logs() as logs:
        found = online(log)

    assert skew(found, offline) == []
    assert sum(line.get("rows_fewer", 0) for line in logs) > 50  # though rows were merged
    assert sum(row["is_flagged"] == "True" for row in offline.values()) > 20
    for value in TERMINAL_VALUES:
        assert len({row[value] for row in offline.values()}) > 3, value


def a_feature_that_differs_in_its_last_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    def observe_otherwise(*arguments: Any) -> Observed:  # noqa: ANN401  (passed on as they are)
        observed = observe_transactions(*arguments)
        ratios = observed.features[:, AMOUNT_RATIO]
        ratios[:] = np.nextafter(ratios, np.inf)
        return observed

    monkeypatch.setattr(micro_batch, "observe_transactions", observe_otherwise)


def labels_known(days: int) -> Callable[[pytest.MonkeyPatch], None]:
    def plant(monkeypatch: pytest.MonkeyPatch) -> None:
        entries = micro_batch.label_entries

        def shifted(labels: Labels) -> LabelEntries:
            learned = entries(labels)
            return learned._replace(known_at_us=learned.known_at_us + days * DAY_US)

        monkeypatch.setattr(micro_batch, "label_entries", shifted)

    return plant


def customers_lost_at_a_rebalance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flagpost.ownership.Ownership._load_state", lambda *_: None)


def customers_twice_after_a_rebalance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flagpost.core.state.State.forget", lambda *_: None)


def peers_not_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flagpost.core.state.State.overhear", lambda *_: None)


def no_alignment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flagpost.core.alignment.ALIGNED_WITHIN_US", 1_000 * DAY_US)


PLANTS: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], set[str]]] = {
    "a feature's last bit in one path": (a_feature_that_differs_in_its_last_bit, {"amount_ratio"}),
    "labels a day early": (labels_known(-1), {"terminal_run", "terminal_risk_30d"}),
    "labels a day late": (labels_known(1), {"terminal_run", "terminal_risk_30d"}),
    "customers lost": (customers_lost_at_a_rebalance, {"customer_tx_count_30d", "amount_ratio"}),
    "customers doubled": (customers_twice_after_a_rebalance, {"customer_tx_count_30d"}),
    "peers not heard": (peers_not_heard, {"terminal_tx_count_7d", "terminal_run"}),
    "no alignment": (no_alignment, {"terminal_tx_count_7d", "terminal_run"}),
}


@pytest.mark.parametrize("plant", PLANTS)
def test_a_planted_skew_is_noticed(
    plant: str, log: Path, offline: dict[str, Seen], monkeypatch: pytest.MonkeyPatch
) -> None:
    apply, values = PLANTS[plant]
    apply(monkeypatch)

    assert values <= values_in(skew(online(log), offline))


def test_a_transaction_that_one_path_leaves_out_is_noticed(offline: dict[str, Seen]) -> None:
    name = next(iter(offline))
    rest = {other: row for other, row in offline.items() if other != name}

    assert skew(offline, rest) == [f"{name}: scored online only"]
    assert skew(rest, offline) == [f"{name}: scored offline only"]


def test_only_flagged_scores_are_kept_unless_all_are_asked_for(log: Path) -> None:
    database = Database()

    member(MemorySource(partitioned(log)), database, 1_000, "flagged").run(until_caught_up=True)

    assert (len(database.kept), len(database.flagged) > 20) == (0, True)
