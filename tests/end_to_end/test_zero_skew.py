"""Online equals offline: every feature value and every score, bit for bit, on the real servers.

A log with everything that goes wrong goes through the pipeline in different ways, all at the same
time. `tests/unit/test_zero_skew_is_noticed.py` shows that the comparison notices a skew.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import Random, SystemRandom

import pytest

from flagpost.core.features import FEATURE_NAMES
from flagpost.torture.disturbed_log import write_disturbed_log
from tests.end_to_end.pipeline import Pipeline, Script, evaluated
from tests.skew import Seen, seen, skew

AT_ONCE = 3
RATE = 1_500
"""Messages a second, so that there is a middle in which something can happen."""
SEED = SystemRandom().randrange(2**32)


@dataclass(frozen=True)
class Log:
    """The log, how many of its messages reach the transactions' topic, and what they have to be."""

    path: Path
    n_transactions: int
    offline: dict[str, Seen]


def one_member_reads_what_is_there(pipeline: Pipeline, log: Log, chance: Random) -> None:
    pipeline.produce(log.path)
    pipeline.score_all(batch_messages=some_limit(chance))


def two_members_at_full_speed(pipeline: Pipeline, log: Log, chance: Random) -> None:
    members = two_members_wait(pipeline, log, chance)
    pipeline.produce(log.path, "--from-line", 2)
    pipeline.wait_until_read(log.n_transactions)
    leave(*members)


def one_joins_and_another_leaves(pipeline: Pipeline, log: Log, chance: Random) -> None:
    first, second = two_members_wait(pipeline, log, chance)
    half = log.n_transactions // 2
    replay = pipeline.start(
        "producer.py", log.path, "--from-line", 2, "--limit", half, "--rate", RATE
    )
    pipeline.wait_until_read(log.n_transactions // 5)
    third = pipeline.start_member(batch_messages=some_limit(chance))
    assert replay.wait() == 0
    pipeline.wait_until(lambda: third.says("taken over"))
    replay = pipeline.start("producer.py", log.path, "--from-line", 2 + half, "--rate", RATE)
    pipeline.wait_until_read(log.n_transactions * 2 // 3)
    leave(first)
    assert replay.wait() == 0
    pipeline.wait_until_read(log.n_transactions)
    leave(second, third)


def one_of_two_is_killed(pipeline: Pipeline, log: Log, chance: Random) -> None:
    victim, other = two_members_wait(pipeline, log, chance)
    replay = pipeline.start("producer.py", log.path, "--from-line", 2, "--rate", RATE)
    pipeline.wait_until_read(chance.randrange(1_000, log.n_transactions // 2))
    victim.kill()
    assert victim.says("n_clean")
    assert pipeline.counts().n_in < log.n_transactions
    assert replay.wait() == 0
    pipeline.wait_until_read(log.n_transactions)
    leave(other)


def two_members_wait(pipeline: Pipeline, log: Log, chance: Random) -> tuple[Script, Script]:
    """Start two members and wait until they have shared the partitions."""
    pipeline.produce(log.path, "--limit", 1)
    first = pipeline.start_member(batch_messages=some_limit(chance))
    second = pipeline.start_member(batch_messages=some_limit(chance))
    for member in (first, second):
        pipeline.wait_until(lambda member=member: member.says("taken over"))  # type: ignore[misc]
    return first, second


def leave(*members: Script) -> None:
    for member in members:
        assert member.terminate() == 0
        assert not member.output.read_text().startswith("read 0 ")


def some_limit(chance: Random) -> int:
    return chance.randrange(20, 3_000)


Way = Callable[[Pipeline, Log, Random], None]
WAYS: dict[str, tuple[Way, dict[str, object]]] = {
    "killed, 4 partitions": (one_of_two_is_killed, {"topic_partitions": 4}),
    "joins and leaves, 8 partitions": (one_joins_and_another_leaves, {"topic_partitions": 8}),
    "two members, 8 partitions, confluent": (
        two_members_at_full_speed,
        {"topic_partitions": 8, "kafka_client": "confluent"},
    ),
    "one member, 4 partitions, confluent": (
        one_member_reads_what_is_there,
        {"topic_partitions": 4, "kafka_client": "confluent"},
    ),
    "one member, 1 partition": (one_member_reads_what_is_there, {"topic_partitions": 1}),
}


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Log:
    directory = tmp_path_factory.mktemp("log")
    path = directory / "disturbed.json"
    write_disturbed_log(path, customers=50, terminals=30, days=75, seed=4)
    frame = evaluated(path, directory)
    offline = {
        row["transaction_id"]: seen(
            [row[name] for name in FEATURE_NAMES], row["fraud_probability"], row["is_flagged"]
        )
        for row in frame.to_dict("records")
    }
    lines = path.read_bytes().splitlines()
    return Log(path, sum(b'"type":"label"' not in line for line in lines), offline)


@pytest.fixture(scope="module")
def pipelines(new_pipeline: Callable[..., Pipeline]) -> dict[str, Pipeline]:
    return {
        name: new_pipeline(keep_scores="all", **settings) for name, (_, settings) in WAYS.items()
    }


@pytest.fixture(scope="module")
def taken(pipelines: dict[str, Pipeline], log: Log) -> Iterator[dict[str, "Future[None]"]]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {
            name: pool.submit(way, pipelines[name], log, Random(f"{SEED} {name}"))
            for name, (way, _) in WAYS.items()
        }


@pytest.mark.parametrize("name", WAYS)
def test_every_feature_and_score_is_that_of_the_offline_pass(
    name: str, pipelines: dict[str, Pipeline], taken: dict[str, "Future[None]"], log: Log
) -> None:
    print(f"chosen by seed {SEED}")  # noqa: T201 - seen when it fails

    taken[name].result()

    flagged = {name: row for name, row in log.offline.items() if row["is_flagged"] == "True"}
    assert len(flagged) > 50
    assert skew(pipelines[name].seen(), log.offline) == []
    assert skew(pipelines[name].seen_of_flagged(), flagged) == []
