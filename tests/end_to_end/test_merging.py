"""A stream in real time: a few messages a batch, whose rows are merged while a member is killed."""

import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
import psycopg
import pytest

from flagpost.core.features import FEATURE_NAMES
from flagpost.core.segment import unpack
from tests.end_to_end.pipeline import Pipeline, evaluated
from tests.skew import Seen, seen, skew

RATE, N_PAYMENTS = 500, 6_000
BEGAN = datetime(2026, 3, 1, 10, 1, tzinfo=UTC)


def payments() -> Iterator[dict[str, object]]:
    """Make payments of most of one hour and a little of the next."""
    chance = random.Random(7)
    for number in range(N_PAYMENTS):
        yield {
            "transaction_id": f"TX{number}",
            "timestamp": (BEGAN + timedelta(seconds=number * 0.61)).isoformat(),
            "user_id": f"C{chance.randrange(60)}",
            "terminal_id": f"T{chance.randrange(40)}",
            "amount": round(chance.expovariate(1 / 60), 2) + (2_000 if number % 400 == 399 else 0),
        }


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("log") / "now.json"
    path.write_bytes(b"".join(msgspec.json.encode(each) + b"\n" for each in payments()))
    return path


def seen_offline(log: Path, directory: Path) -> dict[str, Seen]:
    return {
        row["transaction_id"]: seen(
            [row[name] for name in FEATURE_NAMES], row["fraud_probability"], row["is_flagged"]
        )
        for row in evaluated(log, directory).to_dict("records")
    }


def test_what_is_merged_while_a_member_is_killed_is_scored_and_kept_as_ever(
    new_pipeline: Callable[..., Pipeline], log: Path, tmp_path: Path
) -> None:
    pipeline = new_pipeline(topic_partitions=2, keep_scores="all")
    pipeline.produce(log, "--limit", 1)  # makes the topics
    first = pipeline.start_member()
    pipeline.wait_until_read(1)
    producer = pipeline.start("producer.py", log, "--from-line", 2, "--rate", RATE)
    pipeline.wait_until(lambda: first.says('"merged"'))
    first.kill()
    second = pipeline.start_member()
    pipeline.wait_until_read(N_PAYMENTS)

    assert producer.wait() == 0
    assert second.terminate() == 0
    offline = seen_offline(log, tmp_path)
    assert skew(pipeline.seen(), offline) == []
    assert any(row["is_flagged"] == "True" for row in offline.values())
    rows = journal(pipeline)
    for partition in (0, 1):
        tiles = [(start, end) for number, start, end, _ in rows if number == partition]
        assert tiles == sorted(tiles)
        assert all(end <= start for (_, end), (start, _) in pairwise(tiles))
    columns = [unpack(packed) for *_, packed in rows]
    keys = np.concatenate([each.transaction_key for each in columns])
    assert keys.size == np.unique(keys).size == N_PAYMENTS


def journal(pipeline: Pipeline) -> list[tuple[int, int, int, bytes]]:
    with psycopg.connect(str(pipeline.settings["database_url"])) as connection:
        return connection.execute(
            "SELECT partition, start_offset, end_offset, columns FROM stream.journal"
            " ORDER BY partition, start_offset"
        ).fetchall()
