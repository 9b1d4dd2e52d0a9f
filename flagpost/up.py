"""`flagpost up`: servers, tables and topics, so that producer and consumer can start."""

from collections.abc import Callable
from pathlib import Path

import typer

from flagpost.kafka.access import KafkaAccess
from flagpost.kafka.topics import ensure_topics
from flagpost.local.stack import start_stack
from flagpost.postgres.upgrade import upgrade
from flagpost.settings import HOME, Settings, load_settings


def up() -> None:
    """Start Apache Kafka and PostgreSQL here, or find them running; create tables and topics.

    Their data stay under .flagpost/ between runs, and their addresses are in .flagpost/env, which
    every command reads by itself.

    Example: flagpost up
    """
    settings = bring_up(HOME, typer.echo)
    typer.echo(f"Kafka is at {settings.kafka_bootstrap}; the addresses are in {HOME / 'env'}.")


def bring_up(home: Path, tell: Callable[[str], None]) -> Settings:
    """Make the local stack ready for use, and return the settings that lead to it. Blocks.

    Raises:
        StackFailed: a server did not come up.
    """
    stack = start_stack(home, tell)
    settings = load_settings(kafka_bootstrap=stack.kafka_bootstrap, database_url=stack.database_url)
    upgrade(stack.database_url)
    partitions = dict.fromkeys((settings.topic, settings.labels_topic), settings.topic_partitions)
    ensure_topics(KafkaAccess(stack.kafka_bootstrap), {**partitions, settings.dead_letter_topic: 1})
    return settings
