"""The raw drain: a program that reads a topic with a bare client and does nothing with it.

It is what anybody would write: subscribe, ask for as many messages as the worker does, count them,
with Python's garbage collector as it comes. The fetch settings are those of Flagpost's own source.

Topic, brokers and the number of messages of a poll are those of the settings.

Example: python -m bench.drain confluent 1000000
"""

import gc
import time
from collections.abc import Callable
from typing import Annotated
from uuid import uuid4

import typer
from confluent_kafka import Consumer
from kafka import KafkaConsumer

from flagpost.kafka import confluent_source, kafka_python_source
from flagpost.settings import KafkaClient, load_settings

POLL_SECONDS = 1.0

PollCount = Callable[[], int]
"""Polls once and returns how many messages came."""


def main(
    client: KafkaClient,
    events: int,
    *,
    pause_collector: Annotated[bool, typer.Option("--pause-collector")] = False,
) -> None:
    """Read so many messages and print the seconds from the first batch to the last."""
    settings = load_settings()
    if pause_collector:
        gc.disable()
    subscribe = {"kafka-python": subscribe_kafka_python, "confluent": subscribe_confluent}[client]
    poll = subscribe(settings.kafka_bootstrap, settings.topic, settings.batch_messages)
    typer.echo(time_drain(poll, events))


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


def subscribe_kafka_python(bootstrap: str, topic: str, max_messages: int) -> PollCount:
    """Subscribe with kafka-python, in a group of its own, from the beginning."""
    config = {**kafka_python_source.CONSUMER_CONFIG, "auto_offset_reset": "earliest"}
    consumer = KafkaConsumer(
        topic, bootstrap_servers=bootstrap, group_id=f"drain-{uuid4()}", **config
    )

    def poll() -> int:
        return sum(map(len, consumer.poll(1000 * POLL_SECONDS, max_messages).values()))

    return poll


def subscribe_confluent(bootstrap: str, topic: str, max_messages: int) -> PollCount:
    """Subscribe with confluent-kafka, in a group of its own, from the beginning."""
    consumer = Consumer(
        {
            **confluent_source.CONSUMER_CONFIG,
            "bootstrap.servers": bootstrap,
            "group.id": f"drain-{uuid4()}",
            "auto.offset.reset": "earliest",
            "enable.partition.eof": False,
        }
    )
    consumer.subscribe([topic])

    def poll() -> int:
        return len(consumer.consume(max_messages, POLL_SECONDS))

    return poll


if __name__ == "__main__":
    typer.run(main)
