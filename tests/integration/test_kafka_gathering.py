"""A poll of either client waits for what usually comes together."""

from collections.abc import Callable, Iterator
from contextlib import closing
from threading import Timer

import pytest
from confluent_kafka import Producer

from flagpost.events import Partition
from flagpost.kafka import group
from flagpost.kafka.factory import open_source
from flagpost.kafka.influx import Influx
from flagpost.kafka.pairing import GroupTopics
from flagpost.kafka.source import Source
from flagpost.settings import KafkaClient, Settings
from flagpost.torture.waiting import wait_until

PATIENCE_SECONDS = 20.0


@pytest.fixture
def topic(fresh_topic: Callable[[int], str]) -> str:
    return fresh_topic(2)


@pytest.fixture(params=["kafka-python", "confluent"])
def source(
    request: pytest.FixtureRequest,
    kafka_bootstrap: str,
    topic: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Source]:
    """A member that expects two messages at a time, and has time to wait for the second."""
    monkeypatch.setattr(Influx, "expected", lambda _: 2)
    monkeypatch.setattr(group, "GATHER_SECONDS", PATIENCE_SECONDS)
    client: KafkaClient = request.param
    settings = Settings(kafka_bootstrap=kafka_bootstrap, kafka_client=client, group=topic)
    with closing(open_source(settings, GroupTopics(topic))) as opened:
        assigned = set[Partition]()

        def is_assigned() -> bool:
            assigned.update(opened.poll(1, 0.1).assigned)
            return len(assigned) == 2

        assert wait_until(is_assigned, PATIENCE_SECONDS)
        opened.seek(dict.fromkeys(assigned, 0))
        yield opened


def test_what_comes_after_the_first_message_is_in_the_same_poll(
    source: Source, topic: str, kafka_bootstrap: str
) -> None:
    producer = Producer({"bootstrap.servers": kafka_bootstrap, "linger.ms": 0})

    def send(partition: int) -> None:
        producer.produce(topic, b"message", partition=partition)
        assert not producer.flush(PATIENCE_SECONDS)

    send(0)
    later = Timer(0.5, send, [1])
    later.start()
    try:
        poll = source.poll(100, PATIENCE_SECONDS)
    finally:
        later.join()

    assert {chunk.partition.number for chunk in poll.chunks} == {0, 1}


def test_a_poll_that_may_not_wait_does_not(
    source: Source, topic: str, kafka_bootstrap: str
) -> None:
    producer = Producer({"bootstrap.servers": kafka_bootstrap, "linger.ms": 0})
    producer.produce(topic, b"message", partition=0)
    assert not producer.flush(PATIENCE_SECONDS)
    later = Timer(PATIENCE_SECONDS / 4, producer.produce, [topic, b"message"], {"partition": 1})
    later.start()
    try:
        polls = iter(lambda: source.poll(100, 0).chunks, None)
        found = next(chunks for chunks in polls if chunks)
    finally:
        later.cancel()

    assert [chunk.partition.number for chunk in found] == [0]


def test_a_poll_that_waits_brings_no_more_than_it_may(
    source: Source, topic: str, kafka_bootstrap: str
) -> None:
    producer = Producer({"bootstrap.servers": kafka_bootstrap, "linger.ms": 0})
    for partition in (0, 1):
        producer.produce(topic, b"message", partition=partition)
    assert not producer.flush(PATIENCE_SECONDS)

    polls = [source.poll(1, PATIENCE_SECONDS) for _ in range(2)]

    sizes = [sum(len(chunk.values) for chunk in poll.chunks) for poll in polls]
    assert sizes == [1, 1]
    assert {chunk.partition.number for poll in polls for chunk in poll.chunks} == {0, 1}
