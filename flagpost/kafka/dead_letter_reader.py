"""Reading the dead-letter topic from its beginning to its end, outside of any group."""

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import cast

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from flagpost.dead_letters.letter import DeadLetter, Headers, LetterId, read_letter
from flagpost.errors import OffsetLost, Unavailable
from flagpost.kafka import group
from flagpost.kafka.access import KafkaAccess
from flagpost.kafka.access_check import check_access
from flagpost.kafka.confluent_errors import translated
from flagpost.kafka.topic_watch import missing

_CONSUMER_CONFIG = {
    "group.id": "flagpost-dead-letters",  # asked for by the client, and never joined
    "enable.auto.commit": False,
    "enable.partition.eof": True,
    "auto.offset.reset": "error",
    "isolation.level": "read_committed",
    "fetch.wait.max.ms": group.FETCH_WAIT_MS,
    "allow.auto.create.topics": False,
    "log_level": 0,
}


def read_dead_letters(
    access: KafkaAccess, topic: str, on_progress: Callable[[float], None]
) -> Iterator[DeadLetter]:
    """Read what the topic holds now, each dead letter once, partition by partition. Blocks.

    Messages that Flagpost did not write are passed over. `on_progress` is told the share read.

    Raises:
        Unavailable: the brokers do not answer.
        TopicMissing: there is no such topic.
        BadConfiguration: the broker refuses the credentials.
    """
    check_access(access)
    seen: set[LetterId] = set()
    with closing(Consumer({**_CONSUMER_CONFIG, **access.for_librdkafka()})) as consumer:
        bounds = _bounds(consumer, topic)
        n_all = sum(end - first for first, end in bounds.values()) or 1
        n_read = 0
        for number, (first, end) in bounds.items():
            for message in _read(consumer, TopicPartition(topic, number, first), end):
                letter = _letter(message)
                if letter is not None and letter.id not in seen:
                    seen.add(letter.id)
                    yield letter
                on_progress((n_read + (message.offset() or 0) + 1 - first) / n_all)
            n_read += end - first


def read_value(access: KafkaAccess, place: LetterId) -> bytes | None:
    """Read one message where it was sent first. Blocks.

    Raises:
        OffsetLost: the topic does not hold it any more.
        Unavailable: the brokers do not answer.
    """
    start = TopicPartition(*place)
    with closing(Consumer({**_CONSUMER_CONFIG, **access.for_librdkafka()})) as consumer:
        for message in _read(consumer, start, place.offset + 1):
            if message.offset() == place.offset:
                return message.value()
    raise OffsetLost(f"{place}: its value was too large to be kept, and its topic has lost it")


def _bounds(consumer: Consumer, topic: str) -> dict[int, tuple[int, int]]:
    try:
        found = consumer.list_topics(topic, timeout=group.REQUEST_SECONDS).topics[topic]
        if found.error is not None:
            raise missing(topic)
        return {
            number: consumer.get_watermark_offsets(
                TopicPartition(topic, number), timeout=group.REQUEST_SECONDS
            )
            for number in sorted(found.partitions)
        }
    except KafkaException as error:
        raise translated(error.args[0], f"reading {topic}") from error


def _read(consumer: Consumer, start: TopicPartition, end: int) -> Iterator[Message]:
    """Read a partition up to an end offset, or to where it ends."""
    consumer.assign([start])
    next_offset = start.offset
    while next_offset < end:
        message = consumer.poll(group.REQUEST_SECONDS)
        if message is None:
            raise Unavailable(f"Kafka does not answer (reading {start.topic})")
        error = message.error()
        if error is None:
            yield message
        elif error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001  (the client's name for it)
            raise translated(error, f"reading {start.topic}")
        next_offset = (message.offset() or 0) + 1


def _letter(message: Message) -> DeadLetter | None:
    _, timestamp_ms = message.timestamp()
    return read_letter(
        message.key(),
        message.value(),
        cast("Headers", message.headers() or []),  # the client reads them so
        timestamp_ms if timestamp_ms > 0 else None,
    )
