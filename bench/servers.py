"""A Kafka and a PostgreSQL of the benchmark's own, apart from those of `flagpost up`."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import psycopg
from confluent_kafka.admin import AdminClient

from bench.process import Usage, run_measured, running_beside
from flagpost.kafka.access import KafkaAccess
from flagpost.kafka.topics import ensure_topics
from flagpost.local.stack import servers_of, stop_stack
from flagpost.settings import HOME, Settings
from flagpost.up import bring_up

ROOT = Path(__file__).parent.parent
BENCH_HOME = ROOT / HOME / "bench"
PARTITIONS = 4
TOPIC_PREFIX = "bench-"

_COMMITTED = """
    SELECT sum(n_in)::bigint, sum(n_clean)::bigint, sum(n_flagged)::bigint,
           (SELECT count(*) FROM scores.fraud_transactions)
      FROM stream.positions WHERE topic = %s
"""


@contextmanager
def bench_stack(tell: Callable[[str], None]) -> Iterator[Settings]:
    """Bring the stack up, and down again if it was not running before."""
    runs_already = any(server.process() is not None for server in servers_of(BENCH_HOME))
    try:
        yield bring_up(BENCH_HOME, tell)
    finally:
        if not runs_already:
            stop_stack(BENCH_HOME, tell)


def delete_topics(settings: Settings) -> None:
    """Delete the topics of earlier benchmarks."""
    admin = AdminClient({"bootstrap.servers": settings.kafka_bootstrap})
    old = [topic for topic in admin.list_topics().topics if topic.startswith(TOPIC_PREFIX)]
    if old:
        for deleted in admin.delete_topics(old).values():
            deleted.result()


def create_topics(stack: Settings, partitions: int) -> Settings:
    """Create topics that no run has had, for transactions and labels; return what leads to them."""
    topic = TOPIC_PREFIX + uuid4().hex[:8]
    labels_topic = f"{topic}-labels"
    ensure_topics(
        KafkaAccess(stack.kafka_bootstrap), dict.fromkeys((topic, labels_topic), partitions)
    )
    return stack.model_copy(
        update={"topic": topic, "labels_topic": labels_topic, "topic_partitions": partitions}
    )


def fill_topics(stack: Settings, log: Path, partitions: int) -> Settings:
    """Send a log flat out to topics of its own; return what leads to them. Blocks."""
    settings = create_topics(stack, partitions)
    run_script(settings, "producer.py", log, "--client", "confluent")
    return settings


def empty_tables(settings: Settings) -> None:
    """Make the database forget earlier runs, and let it finish their writing."""
    with psycopg.connect(settings.database_url.get_secret_value(), autocommit=True) as database:
        database.execute(
            "TRUNCATE stream.positions, stream.journal, scores.fraud_transactions,"
            " scores.fraud_scores, label.fraud_labels, feature.hourly_spread,"
            " feature.hourly_totals"
        )
        database.execute("CHECKPOINT")


class Committed(NamedTuple):
    """What the last run has written: its counts, and the rows of flagged transactions."""

    n_in: int
    n_clean: int
    n_flagged: int
    rows: int


def read_committed(settings: Settings) -> Committed:
    """Add up the positions and count the rows."""
    with psycopg.connect(settings.database_url.get_secret_value()) as database:
        [found] = database.execute(_COMMITTED, [settings.topic])
        return Committed(*found)


def count_taken_over(settings: Settings) -> int:
    """Count the partitions of both topics that a worker has taken over and looked at."""
    query = "SELECT count(*) FROM stream.positions WHERE topic = ANY(%s) AND topic_id IS NOT NULL"
    with psycopg.connect(settings.database_url.get_secret_value()) as database:
        [(count,)] = database.execute(query, [[settings.topic, settings.labels_topic]]).fetchall()
        return int(count)


def run_script(settings: Settings, *arguments: object, **variables: object) -> Usage:
    """Run Python on a script or module of the project, with these settings and no others."""
    return run_measured(_command(*arguments), _environment(settings, **variables), ROOT)


def script_beside(
    settings: Settings, *arguments: object, **variables: object
) -> AbstractContextManager[int]:
    """Run it until the context is left, and give its process id."""
    return running_beside(_command(*arguments), _environment(settings, **variables), ROOT)


def _command(*arguments: object) -> list[str]:
    return [sys.executable, *map(str, arguments)]


def _environment(settings: Settings, **variables: object) -> dict[str, str]:
    others = {k: v for k, v in os.environ.items() if not k.startswith("FLAGPOST_")}
    return {
        **others,
        "FLAGPOST_KAFKA_BOOTSTRAP": settings.kafka_bootstrap,
        "FLAGPOST_DATABASE_URL": settings.database_url.get_secret_value(),
        "FLAGPOST_TOPIC": settings.topic,
        "FLAGPOST_LABELS_TOPIC": settings.labels_topic,
        "FLAGPOST_TOPIC_PARTITIONS": str(settings.topic_partitions),
        "FLAGPOST_BATCH_MESSAGES": str(settings.batch_messages),
        **{f"FLAGPOST_{name.upper()}": str(value) for name, value in variables.items()},
    }
