"""The raw drain: a program that reads a topic with a bare client and does nothing with it.

It is what anybody would write: subscribe, poll, look at each message's value, count. Brokers, topic
and the number of messages of a poll are those of the settings.

Example: python -m bench.programs.drain confluent as-worker 1000000
"""

import gc
import time
from collections.abc import Callable
from enum import StrEnum
from typing import Any
from uuid import uuid4

import typer
from confluent_kafka import Consumer
from kafka import KafkaConsumer

from flagpost.kafka import confluent_source, kafka_python_source
from flagpost.settings import KafkaClient, load_settings
from flagpost.worker import messages_of_a_poll

POLL_SECONDS = 1.0
DEFAULT_MESSAGES = 500
"""kafka-python's own number of messages a poll. librdkafka has none; it is near its best here."""

PollCount = Callable[[], int]
"""Polls once and returns how many messages came."""


class Style(StrEnum):
    """How the client is set up.

    DEFAULTS: as it comes. AS_WORKER: with the fetch settings and polls of Flagpost's source.
    COLLECTOR_OFF: the same with the garbage collector off, as Flagpost polls librdkafka.
    """

    DEFAULTS = "defaults"
    AS_WORKER = "as-worker"
    COLLECTOR_OFF = "collector-off"


def main(client: KafkaClient, style: Style, events: int) -> None:
    """Read so many messages and print the seconds from the first batch to the last."""
    settings = load_settings()
    config: dict[str, Any] = {}
    max_messages = DEFAULT_MESSAGES
    if style is not Style.DEFAULTS:
        config = _SOURCE_CONFIGS[client]
        max_messages = messages_of_a_poll(settings.batch_messages)
    if style is Style.COLLECTOR_OFF:
        gc.disable()
    subscribe = {"kafka-python": subscribe_kafka_python, "confluent": subscribe_confluent}[client]
    poll = subscribe(settings.kafka_bootstrap, settings.topic, max_messages, config)
    typer.echo(time_drain(poll, events))


_SOURCE_CONFIGS: dict[KafkaClient, dict[str, Any]] = {
    "kafka-python": kafka_python_source.CONSUMER_CONFIG,
    "confluent": confluent_source.CONSUMER_CONFIG | {"enable.partition.eof": False},
}


def time_drain(poll: PollCount, events: int) -> float:
    """Poll until so many messages have come; seconds from the return of the first batch.

    The worker's tally begins at the same moment.
    """
    while not (seen := poll()):
        pass
    began = time.perf_counter()
    while seen < events:
        seen += poll()
    return time.perf_counter() - began


def subscribe_kafka_python(
    bootstrap: str, topic: str, max_messages: int, config: dict[str, Any]
) -> PollCount:
    """Subscribe with kafka-python, in a group of its own, from the beginning."""
    consumer = KafkaConsumer(
        topic,
        bootstrap_servers=bootstrap,
        group_id=f"drain-{uuid4()}",
        **{**config, "auto_offset_reset": "earliest"},
    )

    def poll() -> int:
        fetched = consumer.poll(1000 * POLL_SECONDS, max_messages)
        return sum(1 for records in fetched.values() for record in records if record.value)

    return poll


def subscribe_confluent(
    bootstrap: str, topic: str, max_messages: int, config: dict[str, Any]
) -> PollCount:
    """Subscribe with confluent-kafka, in a group of its own, from the beginning."""
    own = {"bootstrap.servers": bootstrap, "group.id": f"drain-{uuid4()}"}
    consumer = Consumer({**config, **own, "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])

    def poll() -> int:
        messages = consumer.consume(max_messages, POLL_SECONDS)
        return sum(1 for message in messages if not message.error() and message.value())

    return poll


if __name__ == "__main__":
    typer.run(main)
