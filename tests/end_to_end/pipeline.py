"""The scripts as people run them, between a topic and a database of their own."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import psycopg
from confluent_kafka import Consumer, Message, TopicPartition

from flagpost.core.effects import Counts

ROOT = Path(__file__).parents[2]
LOG = ROOT / "logFraud.json"
PATIENCE_SECONDS = 120
"""Only ends a test that hangs."""

Scores = dict[str, str]
"""Flagged transaction ids and their fraud probabilities, in hexadecimal: equal means every bit."""


@dataclass(frozen=True)
class Script:
    """A running script; what it prints goes to files, so that it never waits for a reader."""

    process: "subprocess.Popen[bytes]"
    output: Path
    errors: Path

    def wait(self) -> int:
        return self.process.wait(PATIENCE_SECONDS)

    def terminate(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        self.process.kill()
        self.wait()

    def wait_to_say(self, text: str) -> None:
        wait_until(lambda: text in self.errors.read_text() or self.process.poll() is not None)
        assert text in self.errors.read_text()


@dataclass(frozen=True)
class Pipeline:
    """A topic with dead letters, a database, a group, and where its scripts run."""

    directory: Path
    kafka_bootstrap: str
    database_url: str = field(repr=False)
    partitions: int = 3
    client: str = "kafka-python"
    batch_messages: int = 10_000
    topic: str = field(default_factory=lambda: f"test-{uuid.uuid4().hex}")

    @property
    def dead_letter_topic(self) -> str:
        return f"{self.topic}.dead"

    def start(self, script: str, *arguments: object, **changed: str) -> Script:
        name = self.directory / f"{script}-{uuid.uuid4().hex}"
        output, errors = name.with_suffix(".out"), name.with_suffix(".err")
        with output.open("wb") as out, errors.open("wb") as err:
            process = subprocess.Popen(  # noqa: S603 - our own script
                [sys.executable, ROOT / script, *map(str, arguments)],
                cwd=self.directory, env=self._environment() | changed, stdout=out, stderr=err,
            )  # fmt: skip
        return Script(process, output, errors)

    def _environment(self) -> dict[str, str]:
        return os.environ | {
            "FLAGPOST_KAFKA_BOOTSTRAP": self.kafka_bootstrap,
            "FLAGPOST_DATABASE_URL": self.database_url,
            "FLAGPOST_TOPIC": self.topic,
            "FLAGPOST_LABELS_TOPIC": f"{self.topic}.labels",
            "FLAGPOST_GROUP": self.topic,
            "FLAGPOST_TOPIC_PARTITIONS": str(self.partitions),
            "FLAGPOST_KAFKA_CLIENT": self.client,
            "FLAGPOST_BATCH_MESSAGES": str(self.batch_messages),
        }

    def produce(self, log: Path, *arguments: object) -> None:
        finish(self.start("producer.py", log, *arguments))

    def start_member(self, *arguments: object, **changed: str) -> Script:
        return self.start("consumer_transform.py", *arguments, **changed)

    def score_all(self, **changed: str) -> Script:
        """Run a member until the group has no lag left."""
        return finish(self.start_member("--until-caught-up", **changed))

    def counts(self) -> Counts:
        """What `stream.positions` says of all partitions."""
        columns = "n_in", "n_clean", "n_flagged", "n_duplicate", "n_dead"
        sums = ", ".join(f"coalesce(sum({column}), 0)::bigint" for column in columns)
        with psycopg.connect(self.database_url) as connection:
            row = connection.execute(f"SELECT {sums} FROM stream.positions").fetchone()  # noqa: S608 - constants
        assert row is not None
        return Counts(*row)

    def wait_until_read(self, n_in: int) -> None:
        wait_until(lambda: self.counts().n_in >= n_in)

    def flagged(self) -> Scores:
        query = "SELECT transaction_id, fraud_probability FROM scores.fraud_transactions"
        with psycopg.connect(self.database_url) as connection:
            return {name: score.hex() for name, score in connection.execute(query)}

    def dead_letters(self) -> list[Message]:
        return read_topic(self.kafka_bootstrap, self.dead_letter_topic, 1)

    def messages(self) -> list[Message]:
        return read_topic(self.kafka_bootstrap, self.topic, self.partitions)


def finish(script: Script) -> Script:
    """Wait for a script that has to succeed."""
    assert script.wait() == 0, script.errors.read_text()
    return script


def evaluate(log: Path, directory: Path) -> Scores:
    """Score a log offline, with the command that people use, and return what it flags."""
    out = directory / f"{log.stem}.parquet"
    command = [sys.executable, ROOT / "fraud_model.py", "evaluate", log, "--out", out]
    subprocess.run(command, cwd=directory, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - our own script
    frame = pd.read_parquet(out)
    flagged = frame[frame["is_flagged"]]
    assert len(flagged) > 0
    return {
        name: float(score).hex()
        for name, score in zip(flagged["transaction_id"], flagged["fraud_probability"], strict=True)
    }


def read_topic(bootstrap: str, topic: str, partitions: int) -> list[Message]:
    found: list[Message] = []
    with closing(Consumer({"bootstrap.servers": bootstrap, "group.id": topic})) as consumer:
        for number in range(partitions):
            _, end = consumer.get_watermark_offsets(TopicPartition(topic, number), 20)
            consumer.assign([TopicPartition(topic, number, 0)])
            found += consumer.consume(end, 20) if end else []
    return found


def transactions_of(log: Path, count: int | None = None) -> list[bytes]:
    """Return the first transactions of a log, without the labels between them."""
    lines = log.read_bytes().splitlines()
    return [line for line in lines if b'"type":"label"' not in line][:count]


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.01)
