"""What the topics hold in the end: the messages that the members were given."""

from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from typing import cast

import numpy as np
from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition

from flagpost.core.history import Int64s
from flagpost.events import Partition
from flagpost.kafka.confluent_errors import translated

_TIMEOUT_SECONDS = 30
_AT_ONCE = 100_000


@dataclass(frozen=True, slots=True)
class Delivered:
    """All messages of a partition, with offsets 0 to n - 1."""

    partition: Partition
    messages: list[Message]

    @property
    def values(self) -> list[bytes | None]:
        """The message bodies."""
        return [message.value() for message in self.messages]

    @property
    def sent_us(self) -> Int64s:
        """When each was sent, in microseconds since 1970, or one before it."""
        sent_ms = [message.timestamp()[1] for message in self.messages]
        return np.maximum.accumulate(1000 * np.array(sent_ms, np.int64))


def read_topics(bootstrap: str, topics: Iterable[str]) -> list[Delivered]:
    """Read whole topics, without a group; blocks."""
    config = {"bootstrap.servers": bootstrap, "group.id": "unused", "enable.auto.commit": False}
    with closing(Consumer(config)) as consumer:
        found = {
            Partition(topic, number): list[Message]()
            for topic in topics
            for number in consumer.list_topics(topic, _TIMEOUT_SECONDS).topics[topic].partitions
        }
        n_left = sum(_end(consumer, partition) for partition in found)
        consumer.assign([TopicPartition(*partition, OFFSET_BEGINNING) for partition in found])
        while n_left:
            for message in consumer.consume(min(n_left, _AT_ONCE), _TIMEOUT_SECONDS):
                found[_place(message)].append(message)
                n_left -= 1
    return [Delivered(partition, messages) for partition, messages in found.items()]


def _end(consumer: Consumer, partition: Partition) -> int:
    _first, end = consumer.get_watermark_offsets(TopicPartition(*partition), _TIMEOUT_SECONDS)
    return end


def _place(message: Message) -> Partition:
    if error := message.error():
        raise translated(error, "reading everything back")
    return Partition(cast("str", message.topic()), cast("int", message.partition()))
