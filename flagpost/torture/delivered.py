"""What the topics hold in the end: the messages that the members were given."""

from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass

from confluent_kafka import Consumer, Message, TopicPartition

from flagpost.events import Partition

_TIMEOUT_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Delivered:
    """All messages of a partition, with offsets 0 to n - 1."""

    partition: Partition
    messages: list[Message]

    @property
    def values(self) -> list[bytes | None]:
        """The message bodies."""
        return [message.value() for message in self.messages]


def read_topics(bootstrap: str, topics: Iterable[str]) -> list[Delivered]:
    """Read whole topics, without a group; blocks."""
    config = {"bootstrap.servers": bootstrap, "group.id": "unused", "enable.auto.commit": False}
    with closing(Consumer(config)) as consumer:
        return [
            Delivered(Partition(topic, number), _read_partition(consumer, topic, number))
            for topic in topics
            for number in consumer.list_topics(topic, _TIMEOUT_SECONDS).topics[topic].partitions
        ]


def _read_partition(consumer: Consumer, topic: str, number: int) -> list[Message]:
    first, end = consumer.get_watermark_offsets(TopicPartition(topic, number), _TIMEOUT_SECONDS)
    consumer.assign([TopicPartition(topic, number, first)])
    messages = list[Message]()
    while len(messages) < end - first:
        messages += consumer.consume(min(100_000, end - first - len(messages)), _TIMEOUT_SECONDS)
    return messages
