"""One run of a peer over a topic that is filled, in a group of its own."""

import os
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import msgspec
import psycopg
from confluent_kafka import ConsumerGroupTopicPartitions
from confluent_kafka.admin import AdminClient

from bench.peers.installation import PEERS_HOME
from bench.peers.job import CREATE_TABLE, TABLE, LogisticRegression
from bench.peers.reference import Reference
from bench.peers.task import COMMIT_SECONDS, Task
from bench.process import run_measured
from bench.runs import Miscounted
from bench.servers import ROOT, TOPIC_PREFIX
from flagpost.settings import Settings

_SECONDS = re.compile(r"^seconds=([\d.]+)", re.MULTILINE)


class PeerRun(msgspec.Struct, frozen=True, kw_only=True):
    """What one run took.

    `seconds` is the time from the first message to the last commit, all else is of the whole
    process. `differing` counts the rows that are not those of the reference; None is Flagpost,
    which has a model of its own.
    """

    seconds: float
    wall_seconds: float
    cpu_seconds: float
    flagged: int
    differing: int | None


def run_peer(
    settings: Settings, command: list[str], events: int, right: Reference, *, commits_to_kafka: bool
) -> PeerRun:
    """Let a peer consume the topic, then look at its rows and its offsets. Blocks.

    Raises:
        Miscounted: it did not commit the end of every partition.
        subprocess.CalledProcessError: it failed.
    """
    group = f"{TOPIC_PREFIX}{uuid4().hex[:8]}"
    database_url = settings.database_url.get_secret_value()
    admin = AdminClient({"bootstrap.servers": settings.kafka_bootstrap})
    empty_table(database_url)
    with TemporaryDirectory(dir=PEERS_HOME) as folder:
        task = Task(
            bootstrap=settings.kafka_bootstrap,
            database_url=database_url,
            topic=settings.topic,
            group=group,
            events=events,
            threshold=LogisticRegression.load().threshold,
            flush_seconds=COMMIT_SECONDS,
            is_live=False,
            state_folder=Path(folder),
        )
        usage = run_measured(command, {**os.environ, **task.to_environment()}, ROOT)
    if commits_to_kafka and (committed := _count_committed(admin, group, settings.topic)) != events:
        raise Miscounted(f"{events} messages were sent, and {command} committed {committed}")
    _delete_topics_of(admin, group)
    rows = _read_rows(database_url)
    return PeerRun(
        seconds=float(_SECONDS.findall(usage.stdout)[-1]),
        wall_seconds=usage.wall_seconds,
        cpu_seconds=usage.cpu_seconds,
        flagged=len(rows),
        differing=right.count_differing(rows),
    )


def empty_table(database_url: str) -> None:
    """Make the table or empty it, and let the database finish earlier writing."""
    with psycopg.connect(database_url, autocommit=True) as database:
        database.execute(CREATE_TABLE)
        database.execute(f"TRUNCATE {TABLE}")
        database.execute("CHECKPOINT")


def count_rows(database_url: str) -> int:
    """Count what has been flagged so far."""
    with psycopg.connect(database_url) as database:
        [(count,)] = database.execute(f"SELECT count(*) FROM {TABLE}").fetchall()  # noqa: S608
        return int(count)


def writers_of_rows(database_url: str) -> dict[str, int]:
    """Return by its id which database transaction wrote each row."""
    query = f"SELECT transaction_id, xmin::text::bigint FROM {TABLE}"  # noqa: S608
    with psycopg.connect(database_url) as database:
        return dict(database.execute(query).fetchall())


def _read_rows(database_url: str) -> dict[str, float]:
    query = f"SELECT transaction_id, fraud_probability FROM {TABLE}"  # noqa: S608 - a constant
    with psycopg.connect(database_url) as database:
        return dict(database.execute(query).fetchall())


def _count_committed(admin: AdminClient, group: str, topic: str) -> int:
    """Add up the offsets that the group would go on from; each partition begins at 0."""
    asked = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])
    partitions = asked[group].result().topic_partitions or []
    return sum(each.offset for each in partitions if each.topic == topic)


def _delete_topics_of(admin: AdminClient, group: str) -> None:
    """Delete the changelogs that a tool has made for its group."""
    if made := [topic for topic in admin.list_topics().topics if group in topic]:
        for deleted in admin.delete_topics(made).values():
            deleted.result()
