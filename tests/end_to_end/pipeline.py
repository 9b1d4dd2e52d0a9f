"""The scripts as people run them, between a topic and a database of their own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, LiteralString

import pandas as pd
import psycopg
import pytest
from confluent_kafka import Consumer, Message, TopicPartition

from flagpost.core.effects import Counts
from tests.skew import Seen, seen

ROOT = Path(__file__).parents[2]
LOG = ROOT / "logFraud.json"
PATIENCE_SECONDS = 120
"""Only ends a test that hangs."""

Scores = dict[str, str]
"""Flagged transaction ids and their fraud probabilities, in hexadecimal: equal means every bit."""


Place = tuple[int, int]
"""A partition and an offset."""


@dataclass(frozen=True)
class Script:
    """A running script; what it prints goes to files, so that it never waits for a reader."""

    process: "subprocess.Popen[bytes]"
    output: Path
    errors: Path

    def wait(self) -> int:
        try:
            return self.process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            pytest.fail(f"it does not end; it said:\n{self.errors.read_text()}")

    def terminate(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        self.process.kill()
        self.wait()

    def says(self, text: str) -> bool:
        return text in self.errors.read_text()

    def has_failed(self) -> bool:
        """Whether it ended, but neither well nor by `kill`."""
        return self.process.poll() not in {None, 0, -signal.SIGKILL}


@dataclass(frozen=True)
class Pipeline:
    """A topic, a database and a group of their own; `settings` are `FLAGPOST_*` in lower case."""

    directory: Path
    settings: dict[str, object] = field(repr=False)
    scripts: list[Script] = field(default_factory=list)

    def start(self, script: str, *arguments: object, **changed: object) -> Script:
        return self._run(script, [ROOT / script, *arguments], changed)

    def start_dying_member(self, step: str, batch: int, **changed: object) -> Script:
        """Start a member that kills itself at a step of a batch."""
        arguments = ["flagpost.torture.dying_member", "--at", step, "--batch", batch]
        return self._run("dying", ["-m", *arguments], changed)

    def start_freezing_member(self, step: str, **changed: object) -> Script:
        """Start a member that stands still from a step of its first batch on, until SIGCONT."""
        directory = self.directory / f"{len(self.scripts)}-freezing"
        directory.mkdir()
        (directory / "order").write_text(f"SIGSTOP {step}")
        return self._run("freezing", ["-m", "flagpost.torture.member", directory], changed)

    def _run(self, script: str, arguments: Sequence[object], changed: dict[str, object]) -> Script:
        settings = {f"FLAGPOST_{k.upper()}": str(v) for k, v in (self.settings | changed).items()}
        name = f"{len(self.scripts)}-{script}"
        output, errors = self.directory / f"{name}.out", self.directory / f"{name}.err"
        with output.open("wb") as out, errors.open("wb") as err:
            process = subprocess.Popen(  # noqa: S603 - our own script
                [sys.executable, *map(str, arguments)],
                cwd=self.directory, env=os.environ | settings, stdout=out, stderr=err,
            )  # fmt: skip
        self.scripts.append(Script(process, output, errors))
        return self.scripts[-1]

    def produce(self, log: Path, *arguments: object) -> None:
        finish(self.start("producer.py", log, *arguments))

    def start_member(self, *arguments: object, **changed: object) -> Script:
        return self.start("consumer_transform.py", *arguments, **changed)

    def score_all(self, **changed: object) -> None:
        """Run a member until the group has no lag left."""
        finish(self.start_member("--until-caught-up", **changed))

    def counts(self, setting: str = "topic") -> Counts:
        """What `stream.positions` says of the partitions of the topic of this setting."""
        rows = self._query("SELECT n_in, n_clean, n_flagged, n_duplicate, n_dead"
                           " FROM stream.positions WHERE topic = %s",
                           self.settings[setting])  # fmt: skip
        return sum((Counts(*row) for row in rows), Counts())

    def owned(self, setting: str = "topic") -> dict[str, set[int]]:
        """Which partitions of the topic of this setting each member was the last to take over."""
        rows = self._query("SELECT owner, array_agg(partition) FROM stream.positions"
                           " WHERE topic = %s GROUP BY owner",
                           self.settings[setting])  # fmt: skip
        return {owner: set(numbers) for owner, numbers in rows}

    def n_done(self) -> int:
        """How many messages of all topics are done with."""
        [(n_done,)] = self._query("SELECT coalesce(sum(n_in), 0) FROM stream.positions")
        return int(n_done)

    def written(self) -> list[tuple[Any, ...]]:
        """Where each position is and since when, and how much the tables beside it hold."""
        return self._query("SELECT topic, partition, next_offset, updated_at,"
                           " (SELECT count(*) FROM stream.journal),"
                           " (SELECT count(*) FROM scores.fraud_transactions),"
                           " (SELECT count(*) FROM label.fraud_labels),"
                           " (SELECT sum(n) FROM feature.hourly_totals, unnest(tx_count) n)"
                           " FROM stream.positions ORDER BY topic, partition")  # fmt: skip

    def flagged(self) -> Scores:
        rows = self._query(
            "SELECT transaction_id, fraud_probability FROM scores.fraud_transactions"
        )
        return {transaction_id: score.hex() for transaction_id, score in rows}

    def model_versions(self) -> set[str]:
        """Which models have flagged something."""
        rows = self._query("SELECT DISTINCT model_version FROM scores.fraud_transactions")
        return {version for (version,) in rows}

    def spread(self) -> list[int]:
        """What was counted in each bin, all hours and partitions together."""
        rows = self._query("SELECT counts FROM feature.hourly_spread")
        return [sum(counts) for counts in zip(*(row for (row,) in rows), strict=True)]

    def seen(self) -> dict[str, Seen]:
        """What was kept of every scored transaction."""
        rows = self._query("SELECT transaction_id, features, fraud_probability, is_flagged"
                           " FROM scores.fraud_scores")  # fmt: skip
        return {transaction_id: seen(*row) for transaction_id, *row in rows}

    def seen_of_flagged(self) -> dict[str, Seen]:
        """What is stored of the flagged transactions, the same for everybody."""
        rows = self._query("SELECT transaction_id, features, fraud_probability, true"
                           " FROM scores.fraud_transactions")  # fmt: skip
        return {transaction_id: seen(*row) for transaction_id, *row in rows}

    def _query(self, query: LiteralString, *parameters: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(str(self.settings["database_url"])) as connection:
            return connection.execute(query, parameters).fetchall()

    def read_topic(self, setting: str = "topic") -> list[Message]:
        """Return all that the topic of this setting holds."""
        config = {"bootstrap.servers": self.settings["kafka_bootstrap"], "group.id": "tests"}
        topic = str(self.settings[setting])
        found: list[Message] = []
        with closing(Consumer(config)) as consumer:
            for number in consumer.list_topics(topic, 20).topics[topic].partitions:
                _, end = consumer.get_watermark_offsets(TopicPartition(topic, number), 20)
                consumer.assign([TopicPartition(topic, number, 0)])
                found += consumer.consume(end, 20) if end else []
        return found

    def wait_until_read(self, n_in: int) -> None:
        self.wait_until(lambda: self.counts().n_in >= n_in)

    def wait_until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            for script in filter(Script.has_failed, self.scripts):
                pytest.fail(script.errors.read_text())
            assert time.monotonic() < deadline, "it does not happen"
            time.sleep(0.1)

    def close(self) -> None:
        """End what a failed test has left running."""
        for script in self.scripts:
            script.kill()


def finish(script: Script) -> Script:
    """Wait for a script that has to succeed."""
    assert script.wait() == 0, script.errors.read_text()
    return script


def flagged_in(frame: pd.DataFrame) -> Scores:
    """Return what a log that was scored offline flags."""
    flagged = frame[frame["is_flagged"]]
    assert len(flagged) > 0
    return {
        name: float(score).hex()
        for name, score in zip(flagged["transaction_id"], flagged["fraud_probability"], strict=True)
    }


def evaluated(log: Path, directory: Path) -> pd.DataFrame:
    """Score a log offline, with the command that people use, and return what it writes."""
    out = directory / f"{log.stem}.parquet"
    subprocess.run(  # noqa: S603 - our own script
        [sys.executable, ROOT / "fraud_model.py", "evaluate", log, "--out", out],
        cwd=directory, check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    return pd.read_parquet(out)


def place_of(message: Message) -> Place:
    """Return where a message is: its partition and offset."""
    return int(message.partition() or 0), int(message.offset() or 0)


def origin_of(letter: Message) -> Place:
    """Return where the bad message of a dead letter is."""
    partition = header(letter, "__connect.errors.partition")
    return int(partition), int(header(letter, "__connect.errors.offset"))


def header(letter: Message, name: str) -> str:
    value = dict(letter.headers() or [])[name]
    assert isinstance(value, bytes)
    return value.decode()


def transactions_of(log: Path, count: int | None = None) -> list[bytes]:
    """Return the first transactions of a log, without the labels between them."""
    return [line for line in log.read_bytes().splitlines() if not _is_label(line)][:count]


def beginning_of(log: Path, n_transactions: int) -> list[bytes]:
    """Return the first lines of a log, up to a number of transactions, with their labels."""
    lines = log.read_bytes().splitlines()
    ends = [number for number, line in enumerate(lines, 1) if not _is_label(line)]
    return lines[: ends[n_transactions - 1]]


def _is_label(line: bytes) -> bool:
    return b'"type":"label"' in line
