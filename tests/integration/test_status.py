"""`flagpost status` between the real servers."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, text
from typer.testing import CliRunner, Result

from flagpost.cli import app
from flagpost.core.effects import Advance, Counts, Effects
from flagpost.events import Partition
from flagpost.kafka.access import KafkaAccess
from flagpost.kafka.confluent_publisher import ConfluentPublisher
from flagpost.postgres.store import PostgresStore

NOWHERE = {
    "kafka": {"FLAGPOST_KAFKA_BOOTSTRAP": "127.0.0.1:1"},
    "postgres": {"FLAGPOST_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"},
}
US = 1_767_225_600_000_000  # 2026-01-01


@dataclass
class World:
    topic: str
    env: dict[str, str]

    def status(self, *arguments: str, **changed: str) -> Result:
        return CliRunner(env=self.env | changed).invoke(app, ["status", *arguments])

    def facts(self) -> dict[str, object]:
        return json.loads(self.status("--json").stdout)


@pytest.fixture
def world(
    kafka_bootstrap: str,
    database_url: str,
    fresh_topic: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> World:
    """A topic with 100 messages, and an empty one for labels."""
    monkeypatch.setattr("flagpost.kafka.group.REQUEST_SECONDS", 5)
    topic = fresh_topic(1)
    publisher = ConfluentPublisher(KafkaAccess(kafka_bootstrap))
    publisher.publish(topic, [None] * 100, [b"{}"] * 100)
    publisher.finish()
    env = {
        "FLAGPOST_KAFKA_BOOTSTRAP": kafka_bootstrap,
        "FLAGPOST_DATABASE_URL": database_url,
        "FLAGPOST_TOPIC": topic,
        "FLAGPOST_LABELS_TOPIC": fresh_topic(1),
        "FLAGPOST_GROUP": topic,
        "COLUMNS": "200",
    }
    return World(topic, env)


@pytest.fixture
def store(world: World, engine: Engine) -> PostgresStore:
    """A member that has read 60 of the messages."""
    store, partition = PostgresStore(engine, world.topic), Partition(world.topic, 0)
    [at] = store.acquire({partition: 0}).values()
    counts = Counts(60, 50, 5, 3, 2)
    store.commit(Effects([Advance(partition, at.epoch, 0, 60, US, counts)]))
    return store


def test_it_tells_lag_owner_epoch_counts_and_time_of_a_partition(
    world: World, store: PostgresStore
) -> None:
    result = world.status()

    [row] = [line for line in result.stdout.splitlines() if f"{world.topic}[0]" in line]
    words = row.split()
    assert words[1:8] == ["40", "1", "60", "50", "5", "3", "2"]
    assert "2026-01-01 00:00" in row
    assert words[-1].endswith(f":{os.getpid()}")
    assert "group has no member" not in result.stdout


def test_it_fails_when_messages_wait_and_nobody_is_in_the_group(
    world: World, store: PostgresStore
) -> None:
    result = world.status()

    assert result.exit_code == 1
    assert f"wrong: 40 messages wait and group {world.topic} has no member" in result.stderr


def test_it_succeeds_when_all_is_read(world: World, store: PostgresStore) -> None:
    partition = Partition(world.topic, 0)
    store.commit(Effects([Advance(partition, 1, 60, 100, US, Counts(40, 40, 0, 0, 0))]))

    result = world.status()

    assert (result.exit_code, result.stderr) == (0, "")


def test_a_tool_reads_the_same_as_json(world: World, store: PostgresStore) -> None:
    facts = world.facts()

    assert facts["members"] == []
    [partition] = [each for each in facts["partitions"] if each["topic"] == world.topic]  # type: ignore[attr-defined]
    told = {
        "lag": 40, "first_offset": 0, "end_offset": 100, "next_offset": 60, "epoch": 1,
        "n_in": 60, "n_clean": 50, "n_flagged": 5, "n_duplicate": 3, "n_dead": 2,
        "event_time": "2026-01-01T00:00:00Z", "last_error": None,
    }  # fmt: skip
    assert told.items() <= partition.items()


@pytest.mark.parametrize(("away", "told"), [("kafka", "60"), ("postgres", "100")])
def test_it_shows_the_other_half_when_a_server_is_away(
    world: World, store: PostgresStore, away: str, told: str
) -> None:
    result = world.status(**NOWHERE[away])

    assert result.exit_code == 1
    assert "wrong: " in result.stderr
    assert {"kafka": "Kafka", "postgres": "PostgreSQL"}[away] in result.stderr
    [row] = [line for line in result.stdout.splitlines() if f"{world.topic}[0]" in line]
    assert told in row.split()


def test_it_tells_an_error_until_somebody_takes_over(
    world: World, store: PostgresStore, engine: Engine
) -> None:
    store.note_error("the disk is full", datetime.now(UTC) + timedelta(seconds=1))

    assert "the disk is full" in world.status().stderr

    with engine.begin() as connection:
        later = "UPDATE stream.positions SET owned_since = now() + interval '1 min'"
        connection.execute(text(later))
    after = world.status()
    assert "the disk is full" not in after.stderr
    assert "the disk is full" in after.stdout


def test_a_topic_that_does_not_hold_the_next_message_is_wrong(
    world: World, store: PostgresStore
) -> None:
    ahead = Advance(Partition(world.topic, 0), 1, 60, 101, US, Counts(1, 1, 0, 0, 0))
    store.commit(Effects([ahead]))

    assert "the topic does not hold the next message" in world.status().stderr


def test_without_settings_it_says_what_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = {"FLAGPOST_KAFKA_BOOTSTRAP": "", "FLAGPOST_DATABASE_URL": ""}

    result = CliRunner(env=nothing).invoke(app, ["status"])

    assert result.exit_code == 1
    assert "FLAGPOST_KAFKA_BOOTSTRAP is not set" in result.stderr
    assert "FLAGPOST_DATABASE_URL is not set" in result.stderr
