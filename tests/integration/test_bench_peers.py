"""The one peer whose packages the project has anyway, on the real servers."""

import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import Producer
from pydantic import SecretStr

from bench.peers import runs
from bench.peers.job import Transaction
from bench.peers.reference import calculate_reference
from bench.peers.runs import run_peer
from bench.runs import Miscounted
from flagpost.settings import Settings

TUTORIAL = [sys.executable, "-m", "bench.peers.apps.tutorial"]
EVENTS = 60
START = datetime(2025, 1, 1, tzinfo=UTC)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    log = tmp_path / "log.jsonl"
    log.write_bytes(
        b"\n".join(
            msgspec.json.encode(
                Transaction(f"T{n}", f"C{n % 5}", START + timedelta(hours=n), 10.0 + 50 * (n % 11))
            )
            for n in range(EVENTS)
        )
    )
    return log


@pytest.fixture
def settings(
    kafka_bootstrap: str,
    database_url: str,
    fresh_topic: Callable[..., str],
    log: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Settings:
    monkeypatch.setattr(runs, "PEERS_HOME", log.parent)
    topic = fresh_topic(1)
    producer = Producer({"bootstrap.servers": kafka_bootstrap})
    for line in log.read_bytes().splitlines():
        producer.produce(topic, line)
    producer.flush()
    return Settings(
        kafka_bootstrap=kafka_bootstrap, database_url=SecretStr(database_url), topic=topic
    )


def test_a_peer_flags_the_rows_of_the_reference_and_commits_all(
    settings: Settings, log: Path
) -> None:
    right = calculate_reference(log)

    found = run_peer(settings, TUTORIAL, EVENTS, right, commits_to_kafka=True)

    assert (found.flagged, found.differing) == (len(right.flagged), 0)
    assert 0 < found.flagged < EVENTS
    assert 0 < found.seconds < found.wall_seconds


def test_a_peer_that_leaves_messages_does_not_count(settings: Settings, log: Path) -> None:
    right = calculate_reference(log)
    leaves_one = ["env", f"PEER_EVENTS={EVENTS - 1}", *TUTORIAL]

    with pytest.raises(Miscounted, match=f"{EVENTS} messages were sent"):
        run_peer(settings, leaves_one, EVENTS, right, commits_to_kafka=True)
