"""Dead letters in their topic on the real broker."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from confluent_kafka import Consumer, Message, TopicPartition

from flagpost.errors import TopicMissing, Unavailable
from flagpost.events import BadMessage, Partition, Reason
from flagpost.kafka.access import KafkaAccess
from flagpost.kafka.dead_letters import DeadLetters
from flagpost.kafka.source import Record
from tests.contract.memory_source import MemoryChunk

NewFreshTopic = Callable[..., str]

SOURCE = Partition("transactions", 3)
BAD = BadMessage(0, Reason.WRONG_TYPE, "amount", "amount must be a number: \u20ac")


@pytest.fixture
def topic(fresh_topic: NewFreshTopic) -> str:
    return fresh_topic(1)


@pytest.fixture
def letters(kafka_bootstrap: str, topic: str) -> Iterator[DeadLetters]:
    with closing(DeadLetters(KafkaAccess(kafka_bootstrap), topic, "scorers")) as letters:
        yield letters


def chunk_of(*records: Record) -> MemoryChunk:
    return MemoryChunk(SOURCE, list(range(40, 40 + len(records))), list(records))


def read(bootstrap: str, topic: str, count: int) -> list[Message]:
    with closing(Consumer({"bootstrap.servers": bootstrap, "group.id": topic})) as consumer:
        consumer.assign([TopicPartition(topic, 0, 0)])
        return consumer.consume(count, 20)


def test_a_dead_letter_is_what_the_bad_message_was(
    letters: DeadLetters, kafka_bootstrap: str, topic: str
) -> None:
    now_ms = time.time_ns() // 1_000_000
    record = Record(b"user", b"{not json", [("trace", b"\x00\xff"), ("empty", None)], now_ms - 5)

    letters.send(chunk_of(record), 0, BAD)
    letters.flush()

    [message] = read(kafka_bootstrap, topic, 1)
    assert (message.key(), message.value()) == (b"user", b"{not json")
    assert message.timestamp()[1] == now_ms - 5
    headers = list(message.headers() or [])
    assert headers[:2] == record.headers


def test_the_headers_say_where_it_was_and_why_it_is_dead(
    letters: DeadLetters, kafka_bootstrap: str, topic: str
) -> None:
    letters.send(chunk_of(Record(None, b"x", [], None), Record(None, b"y", [], None)), 1, BAD)
    letters.flush()

    [message] = read(kafka_bootstrap, topic, 1)
    headers = dict(message.headers() or [])
    assert headers == {
        "__connect.errors.topic": b"transactions",
        "__connect.errors.partition": b"3",
        "__connect.errors.offset": b"41",
        "__connect.errors.connector.name": b"scorers",
        "__connect.errors.task.id": b"0",
        "__connect.errors.stage": b"VALUE_CONVERTER",
        "__connect.errors.class.name": b"flagpost.core.decoding.MessageDecoder",
        "__connect.errors.exception.class.name": b"flagpost.bad_messages.BadMessage",
        "__connect.errors.exception.message": "amount must be a number: \u20ac".encode(),
        "flagpost.reason": b"wrong_type",
        "flagpost.field": b"amount",
    }


@pytest.mark.parametrize(
    "record",
    [
        Record(b"user", None, [], None),
        Record(None, None, [("a", None)], None),
        Record(b"", b"", [], None),
    ],
)
def test_tombstones_and_empty_messages_arrive(
    letters: DeadLetters, kafka_bootstrap: str, topic: str, record: Record
) -> None:
    letters.send(chunk_of(record), 0, BAD)
    letters.flush()

    [message] = read(kafka_bootstrap, topic, 1)
    assert (message.key(), message.value()) == (record.key, record.value)


def test_a_message_too_large_with_its_headers_arrives_without_its_value(
    letters: DeadLetters, kafka_bootstrap: str, topic: str
) -> None:
    incompressible = b"".join(
        hash((n, "x")).to_bytes(8, "big", signed=True) for n in range(150_000)
    )

    letters.send(chunk_of(Record(b"user", incompressible, [], None)), 0, BAD)
    letters.flush()

    [message] = read(kafka_bootstrap, topic, 1)
    assert (message.key(), message.value()) == (b"user", None)
    assert dict(message.headers() or [])["flagpost.value.omitted.bytes"] == b"1200000"


def test_many_arrive_once_each(letters: DeadLetters, kafka_bootstrap: str, topic: str) -> None:
    chunk = chunk_of(*(Record(None, b"%d" % n, [], None) for n in range(10_000)))

    for index in range(10_000):
        letters.send(chunk, index, BAD)
    letters.flush()

    values = [message.value() for message in read(kafka_bootstrap, topic, 10_000)]
    assert values == chunk.values


def test_a_flush_of_nothing_asks_no_broker() -> None:
    with closing(DeadLetters(KafkaAccess("127.0.0.1:1"), "dead", "scorers")) as letters:
        letters.flush()


def test_a_missing_topic_is_named(kafka_bootstrap: str) -> None:
    with closing(
        DeadLetters(KafkaAccess(kafka_bootstrap), "no-such-dead-letters", "scorers")
    ) as letters:
        letters.send(chunk_of(Record(None, b"x", [], None)), 0, BAD)

        with pytest.raises(TopicMissing, match="no-such-dead-letters"):
            letters.flush()


def test_without_a_broker_it_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flagpost.kafka.dead_letters.DELIVERY_SECONDS", 1)
    with closing(DeadLetters(KafkaAccess("127.0.0.1:1"), "dead", "scorers")) as letters:
        letters.send(chunk_of(Record(None, b"x", [], None)), 0, BAD)

        with pytest.raises(Unavailable):
            letters.flush()

        letters.flush()  # what was not acknowledged is dropped: the batch is sent again
