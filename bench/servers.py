"""A Kafka and a PostgreSQL of the benchmark's own, apart from those of `flagpost up`."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import psycopg
from confluent_kafka.admin import AdminClient

from bench.process import Usage, run_measured
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


def name_fresh_topic(settings: Settings) -> str:
    """Delete the topics of earlier runs and return a name that no run has had."""
    admin = AdminClient({"bootstrap.servers": settings.kafka_bootstrap})
    old = [topic for topic in admin.list_topics().topics if topic.startswith(TOPIC_PREFIX)]
    if old:
        for deleted in admin.delete_topics(old).values():
            deleted.result()
    return TOPIC_PREFIX + uuid4().hex[:8]


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


def run_script(settings: Settings, *arguments: object, **variables: object) -> Usage:
    """Run Python on a script or module of the project, with these settings and no others."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("FLAGPOST_")}
    environment |= {
        "FLAGPOST_KAFKA_BOOTSTRAP": settings.kafka_bootstrap,
        "FLAGPOST_DATABASE_URL": settings.database_url.get_secret_value(),
        "FLAGPOST_TOPIC": settings.topic,
        "FLAGPOST_LABELS_TOPIC": settings.labels_topic,
        "FLAGPOST_TOPIC_PARTITIONS": str(PARTITIONS),
        "FLAGPOST_BATCH_MESSAGES": str(settings.batch_messages),
        **{f"FLAGPOST_{name.upper()}": str(value) for name, value in variables.items()},
    }
    return run_measured([sys.executable, *map(str, arguments)], environment, ROOT)
