"""The script `producer.py`, as a process, against the real broker."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition

from flagpost.settings import KafkaClient

PRODUCER = Path(__file__).parents[2] / "producer.py"

NewFreshTopic = Callable[..., str]
Run = Callable[..., "subprocess.Popen[str]"]


def write_log(path: Path, transactions: int) -> Path:
    """A log with a line that is no JSON and, at its end, a label."""
    lines = [
        json.dumps(
            {
                "transaction_id": f"T{n}",
                "timestamp": f"2025-01-01T00:{n // 60 % 60:02}:{n % 60:02}Z",
                "user_id": f"U{n % 20}",
                "amount": 1.5,
            }
        )
        for n in range(transactions - 1)
    ]
    label = {"type": "label", "transaction_id": "T1", "user_id": "U1", "is_fraud": True}
    path.write_text("\n".join([*lines, "{not json", json.dumps(label), ""]))
    return path


@pytest.fixture
def topics(fresh_topic: NewFreshTopic) -> tuple[str, str]:
    """Names for transactions and labels that do not exist yet."""
    name = fresh_topic(1)
    return f"{name}-transactions", f"{name}-labels"


@pytest.fixture
def run(topics: tuple[str, str], kafka_bootstrap: str, tmp_path: Path) -> Run:
    environment = os.environ | {
        "FLAGPOST_KAFKA_BOOTSTRAP": kafka_bootstrap,
        "FLAGPOST_TOPIC": topics[0],
        "FLAGPOST_LABELS_TOPIC": topics[1],
        "FLAGPOST_TOPIC_PARTITIONS": "2",
        "COLUMNS": "150",
    }

    def start(*arguments: object, **changed: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(  # noqa: S603 - our own script
            [sys.executable, PRODUCER, *map(str, arguments)],
            cwd=tmp_path,
            env=environment | changed,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def wait_until_something_arrives(bootstrap: str, topic: str) -> None:
    with closing(Consumer({"bootstrap.servers": bootstrap, "group.id": topic})) as consumer:
        deadline = time.monotonic() + 60
        while not any(_count(consumer, TopicPartition(topic, number)) for number in range(2)):
            assert time.monotonic() < deadline, "nothing arrives"
            time.sleep(0.1)


def _count(consumer: Consumer, partition: TopicPartition) -> int:
    try:
        _, end = consumer.get_watermark_offsets(partition, timeout=10)
    except KafkaException:  # not there yet
        return 0
    return end


def read(bootstrap: str, topic: str, partitions: int) -> list[tuple[bytes | None, bytes | None]]:
    found = []
    with closing(Consumer({"bootstrap.servers": bootstrap, "group.id": topic})) as consumer:
        for number in range(partitions):
            _, end = consumer.get_watermark_offsets(TopicPartition(topic, number), 20)
            consumer.assign([TopicPartition(topic, number, 0)])
            found += [(m.key(), m.value()) for m in consumer.consume(end, 20)] if end else []
    return found


def cells(output: str, topic: str) -> list[str]:
    """The row of the summary that is about `topic`."""
    [row] = [line for line in output.splitlines() if topic in line]
    return [cell.strip() for cell in row.strip("\u2502 ").split("\u2502")]


@pytest.mark.parametrize("client", ["kafka-python", "confluent"])
def test_a_log_arrives_whole_and_keyed_by_user(
    client: KafkaClient, run: Run, topics: tuple[str, str], kafka_bootstrap: str, tmp_path: Path
) -> None:
    log = write_log(tmp_path / "log.jsonl", 500)

    process = run(log, "--client", client)
    output, errors = process.communicate(timeout=60)

    assert (process.returncode, errors) == (0, "")
    assert cells(output, topics[0])[1:4] == ["500", "500", "0"]
    assert cells(output, topics[1])[1:4] == ["1", "1", "0"]
    *lines, label = log.read_bytes().splitlines()
    sent = read(kafka_bootstrap, topics[0], 2)
    assert sorted(value or b"" for _, value in sent) == sorted(lines)
    for key, value in sent:
        assert key == (
            None if value == b"{not json" else json.loads(value or b"")["user_id"].encode()
        )
    assert read(kafka_bootstrap, topics[1], 2) == [(b"U1", label)]


def test_ctrl_c_says_where_to_go_on_and_nothing_is_lost_or_sent_twice(
    run: Run, topics: tuple[str, str], kafka_bootstrap: str, tmp_path: Path
) -> None:
    log = write_log(tmp_path / "log.jsonl", 3_000)

    process = run(log, "--rate", 300)
    wait_until_something_arrives(kafka_bootstrap, topics[0])
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)

    assert process.returncode == 130
    line = int(errors.split("--from-line ")[1])
    assert cells(output, topics[0])[1:3] == [f"{line - 1:,}"] * 2
    rest = run(log, "--from-line", line)
    rest.communicate(timeout=60)
    assert rest.returncode == 0
    values = [value for _, value in read(kafka_bootstrap, topics[0], 2)]
    assert sorted(value or b"" for value in values) == sorted(log.read_bytes().splitlines()[:-1])


def test_the_rate_is_kept(run: Run, topics: tuple[str, str], tmp_path: Path) -> None:
    log = write_log(tmp_path / "log.jsonl", 1_000)

    output, _ = run(log, "--rate", 500, "--limit", 600).communicate(timeout=60)

    row = cells(output, topics[0])
    assert row[1] == "600"
    assert float(row[4]) >= 1.1


def test_the_speed_is_that_of_the_events(run: Run, topics: tuple[str, str], tmp_path: Path) -> None:
    log = write_log(tmp_path / "log.jsonl", 601)  # ten minutes

    output, _ = run(log, "--speed", 400).communicate(timeout=60)

    assert float(cells(output, topics[0])[4]) >= 1.4


def test_errors_are_one_line_and_an_exit_code(run: Run, tmp_path: Path) -> None:
    log = write_log(tmp_path / "log.jsonl", 10)
    cases = [
        (run(tmp_path / "none.json"), 4, "No such file"),
        (run(log, "--rate", 1, "--speed", 1), 3, "--rate and --speed"),
        (run(log, FLAGPOST_KAFKA_BOOTSTRAP=""), 3, "run `flagpost up`"),
        (run(log, FLAGPOST_KAFKA_BOOTSTRAP="127.0.0.1:1"), 10, "FLAGPOST_KAFKA_BOOTSTRAP"),
    ]

    for process, exit_code, text in cases:
        output, errors = process.communicate(timeout=60)
        assert (process.returncode, output) == (exit_code, "")
        assert errors.startswith("error: ")
        assert text in errors
        assert errors.count("\n") == 1


def test_what_the_broker_refuses_is_told_by_the_exit_code(
    run: Run, topics: tuple[str, str], tmp_path: Path
) -> None:
    log = tmp_path / "log.jsonl"
    incompressible = "".join(str(hash((n, "x"))) for n in range(150_000))
    log.write_text(f'{{"user_id": "a"}}\n{incompressible}\n{{"user_id": "b"}}\n')

    process = run(log, "--client", "confluent")
    output, errors = process.communicate(timeout=60)

    assert process.returncode == 1
    assert "not acknowledged" in errors
    assert cells(output, topics[0])[1:4] == ["3", "2", "1"]
