"""Writing to the real broker with each client, and creating topics."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from uuid import uuid4

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from flagpost.errors import BadConfiguration, Unavailable
from flagpost.kafka.access import KafkaAccess
from flagpost.kafka.factory import open_publisher
from flagpost.kafka.topics import ensure_topics
from flagpost.settings import KafkaClient

NewFreshTopic = Callable[..., str]
Messages = list[tuple[bytes | None, bytes | None]]

CLIENTS: list[KafkaClient] = ["kafka-python", "confluent"]


def read(bootstrap: str, topic: str, partition: int) -> Messages:
    """All messages of a partition, keys and values."""
    with closing(Consumer({"bootstrap.servers": bootstrap, "group.id": "reader"})) as consumer:
        _, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), 20)
        consumer.assign([TopicPartition(topic, partition, 0)])
        return [(m.key(), m.value()) for m in consumer.consume(end, 20)] if end else []


@pytest.mark.parametrize("client", CLIENTS)
def test_messages_of_a_key_arrive_in_order_and_are_counted(
    client: KafkaClient, fresh_topic: NewFreshTopic, kafka_bootstrap: str
) -> None:
    topic, labels = fresh_topic(3), fresh_topic(1)
    keys = [b"user%d" % (n % 50) for n in range(5_000)]
    values = [b"%d" % n for n in range(5_000)]
    publisher = open_publisher(KafkaAccess(kafka_bootstrap), client)

    publisher.publish(topic, keys[:3_000], values[:3_000])
    publisher.publish(labels, [None], [b"label"])
    publisher.publish(topic, keys[3_000:], values[3_000:])
    receipt = publisher.finish()

    assert receipt.sent == receipt.acknowledged == {topic: 5_000, labels: 1}
    assert (receipt.failed, receipt.first_failure) == (0, None)
    found: dict[bytes | None, list[bytes | None]] = {}
    for partition in range(3):
        for key, value in read(kafka_bootstrap, topic, partition):
            found.setdefault(key, []).append(value)
    assert found == {key: values[int(key[4:]) :: 50] for key in set(keys)}


def test_both_clients_put_a_key_into_the_same_partition(
    fresh_topic: NewFreshTopic, kafka_bootstrap: str
) -> None:
    keys: list[bytes | None] = [b"", b"a", b"user-17", "\u00fcser".encode(), bytes(range(256))]
    keys += [b"C%05d" % n for n in range(500)]
    placed = []
    for client in CLIENTS:
        topic = fresh_topic(7)
        publisher = open_publisher(KafkaAccess(kafka_bootstrap), client)
        publisher.publish(topic, keys, [b"x"] * len(keys))
        assert publisher.finish().failed == 0
        placed.append([sorted(read(kafka_bootstrap, topic, number)) for number in range(7)])

    assert placed[0] == placed[1]
    assert all(placed[0]), "every partition has keys"


@pytest.mark.parametrize("client", CLIENTS)
def test_a_message_that_is_too_large_is_counted_as_failed_alone(
    client: KafkaClient, fresh_topic: NewFreshTopic, kafka_bootstrap: str
) -> None:
    topic = fresh_topic(1)
    incompressible = b"".join(
        hash((n, "x")).to_bytes(8, "big", signed=True) for n in range(150_000)
    )
    publisher = open_publisher(KafkaAccess(kafka_bootstrap), client)

    publisher.publish(topic, [None], [b"before"])
    publisher.publish(topic, [None], [incompressible])
    publisher.publish(topic, [None], [b"after"])
    receipt = publisher.finish()

    assert (receipt.sent[topic], receipt.acknowledged[topic], receipt.failed) == (3, 2, 1)
    assert receipt.first_failure
    assert [value for _, value in read(kafka_bootstrap, topic, 0)] == [b"before", b"after"]


def test_topics_are_created_once_and_then_left_alone(
    kafka_bootstrap: str, kafka_admin: AdminClient
) -> None:
    first, second = f"made-{uuid4().hex}", f"made-{uuid4().hex}"

    ensure_topics(KafkaAccess(kafka_bootstrap), {first: 3})
    ensure_topics(KafkaAccess(kafka_bootstrap), {first: 5, second: 1})

    topics = kafka_admin.list_topics(timeout=10).topics
    assert (len(topics[first].partitions), len(topics[second].partitions)) == (3, 1)


def test_two_may_create_the_same_topics_at_once(kafka_bootstrap: str) -> None:
    access = KafkaAccess(kafka_bootstrap)
    wanted = {f"made-{uuid4().hex}": 2 for _ in range(3)}

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(ensure_topics, access, wanted) for _ in range(4)]:
            done.result()


def test_a_topic_name_that_kafka_refuses_is_bad_configuration(kafka_bootstrap: str) -> None:
    with pytest.raises(BadConfiguration):
        ensure_topics(KafkaAccess(kafka_bootstrap), {"no spaces allowed": 1})


def test_topics_cannot_be_created_without_a_broker() -> None:
    with pytest.raises(Unavailable, match="FLAGPOST_KAFKA_BOOTSTRAP"):
        ensure_topics(KafkaAccess("127.0.0.1:1"), {"any": 1})
