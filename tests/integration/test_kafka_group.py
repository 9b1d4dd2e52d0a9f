"""Members of one group on the real broker, with each client."""

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import get_args

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from flagpost.errors import BadConfiguration, MemberReplaced, OffsetLost, TopicMissing, Unavailable
from flagpost.events import Partition
from flagpost.kafka.factory import open_source
from flagpost.kafka.pairing import GroupTopics
from flagpost.settings import KafkaClient, Settings
from tests.integration.group_member import PATIENCE_SECONDS, Member, wait_until


@pytest.fixture(params=["kafka-python", "confluent"])
def client(request: pytest.FixtureRequest) -> KafkaClient:
    chosen: KafkaClient = request.param
    return chosen


@pytest.fixture
def join(kafka_bootstrap: str, client: KafkaClient) -> Iterator[Callable[..., Member]]:
    """A function that adds a member to the group of a topic."""
    members: list[Member] = []

    def join_group(topic: str, member_id: str = "", session_seconds: int = 10) -> Member:
        settings = Settings(
            kafka_bootstrap=kafka_bootstrap,
            kafka_client=client,
            group=topic,
            member_id=member_id,
            session_seconds=session_seconds,
        )
        members.append(Member(open_source(settings, GroupTopics(topic))))
        members[-1].start()
        return members[-1]

    yield join_group
    for member in members:
        member.leave()


Join = Callable[..., Member]
NewFreshTopic = Callable[..., str]


def write(bootstrap: str, topic: str, partition: int, count: int) -> None:
    producer = Producer({"bootstrap.servers": bootstrap})
    for number in range(count):
        producer.produce(topic, value=b"%d" % number, partition=partition)
    assert producer.flush(PATIENCE_SECONDS) == 0


def test_two_members_share_and_the_one_that_stays_gets_all_back(
    join: Join, fresh_topic: NewFreshTopic, kafka_bootstrap: str
) -> None:
    topic = fresh_topic(4)
    for partition in range(4):
        write(kafka_bootstrap, topic, partition, 10)
    first = join(topic)
    wait_until(lambda: len(first.owned) == 4, first)
    second = join(topic)
    wait_until(lambda: len(first.owned) == len(second.owned) == 2, first, second)
    assert not first.owned & second.owned
    kept = set(first.owned)

    second.leave()
    wait_until(lambda: len(first.owned) == 4, first)

    for partition in range(4):
        write(kafka_bootstrap, topic, partition, 10)
    wait_until(lambda: all(offsets[-1] == 19 for offsets in first.read.values()), first)
    for kept_partition in kept:
        assert first.read[kept_partition] == list(range(20)), "a kept partition did not go on"


def test_a_kept_partition_flows_while_others_move(
    join: Join, fresh_topic: NewFreshTopic, kafka_bootstrap: str
) -> None:
    topic = fresh_topic(2)
    first = join(topic)
    wait_until(lambda: len(first.owned) == 2, first)
    second = join(topic)
    wait_until(lambda: len(first.owned) == len(second.owned) == 1, first, second)

    [kept] = first.owned
    write(kafka_bootstrap, topic, kept.number, 5)

    wait_until(lambda: kept in first.read, first, second)
    assert first.read == {kept: [0, 1, 2, 3, 4]}


def test_a_partition_that_was_paused_flows_when_it_comes_back(
    join: Join, fresh_topic: NewFreshTopic, kafka_bootstrap: str
) -> None:
    topic = fresh_topic(2)
    write(kafka_bootstrap, topic, 0, 10)
    write(kafka_bootstrap, topic, 1, 10)
    first = join(topic)
    wait_until(lambda: len(first.owned) == 2, first)
    first.act(lambda source: source.pause(first.owned))
    second = join(topic)
    wait_until(lambda: len(first.owned) == len(second.owned) == 1, first, second)
    [kept] = first.owned
    first.read.clear()

    second.leave()
    wait_until(lambda: len(first.owned) == 2 and bool(first.read), first)
    time.sleep(0.5)

    [back] = first.owned - {kept}
    assert first.read == {back: list(range(10))}, "the pause outlived the loss, or ended too early"


UNENDING_SECONDS = 10 * int(PATIENCE_SECONDS)
"""A session that nobody here waits for."""


def test_a_static_member_that_stopped_goes_on_at_once_under_its_id(
    join: Join, fresh_topic: NewFreshTopic
) -> None:
    topic = fresh_topic(2)
    first, other = join(topic, "scorer-1", UNENDING_SECONDS), join(topic)
    wait_until(lambda: len(first.owned) == len(other.owned) == 1, first, other)
    first.leave()

    again = join(topic, "scorer-1", UNENDING_SECONDS)

    wait_until(lambda: again.owned == first.owned, again, other)
    assert not again.owned & other.owned


def test_of_two_processes_with_one_id_the_former_is_told_and_ends(
    join: Join, fresh_topic: NewFreshTopic
) -> None:
    topic = fresh_topic(2)
    former = join(topic, "scorer-1", UNENDING_SECONDS)
    wait_until(lambda: len(former.owned) == 2, former)

    newcomer = join(topic, "scorer-1", UNENDING_SECONDS)

    wait_until(lambda: len(newcomer.owned) == 2, newcomer)
    with pytest.raises(MemberReplaced, match="FLAGPOST_MEMBER_ID"):
        wait_until(lambda: False, former)


def test_the_bounds_end_before_an_open_transaction(
    join: Join, fresh_topic: NewFreshTopic, kafka_bootstrap: str
) -> None:
    topic = fresh_topic(1)
    write(kafka_bootstrap, topic, 0, 5)
    producer = Producer({"bootstrap.servers": kafka_bootstrap, "transactional.id": topic})
    producer.init_transactions(PATIENCE_SECONDS)
    producer.begin_transaction()
    producer.produce(topic, value=b"not yet", partition=0)
    producer.flush(PATIENCE_SECONDS)

    bounds = {}
    join(topic).act(lambda source: bounds.update(source.bounds([Partition(topic, 0)])))

    producer.abort_transaction(PATIENCE_SECONDS)
    assert bounds == {Partition(topic, 0): (0, 5)}


def test_commits_reach_the_lag_tools_when_a_member_leaves(
    join: Join, fresh_topic: NewFreshTopic, kafka_bootstrap: str
) -> None:
    topic = fresh_topic(1)
    write(kafka_bootstrap, topic, 0, 10)
    member = join(topic)
    wait_until(lambda: bool(member.read), member)
    member.act(lambda source: source.commit({Partition(topic, 0): 3}))
    member.act(lambda source: source.commit({Partition(topic, 0): 7}))
    member.leave()

    with closing(Consumer({"bootstrap.servers": kafka_bootstrap, "group.id": topic})) as reader:
        [committed] = reader.committed([TopicPartition(topic, 0)], PATIENCE_SECONDS)
    assert committed.offset == 7


def test_a_missing_topic_stops_the_member(join: Join) -> None:
    member = join("there-is-no-such-topic")

    with pytest.raises(TopicMissing, match="there-is-no-such-topic"):
        wait_until(lambda: False, member)


def test_a_topic_created_late_is_waited_for(join: Join, kafka_admin: AdminClient) -> None:
    topic = f"late-{time.time_ns()}"
    member = join(topic)
    time.sleep(1.5)

    kafka_admin.create_topics([NewTopic(topic, 2, 1)])[topic].result(PATIENCE_SECONDS)

    wait_until(lambda: len(member.owned) == 2, member)


def test_a_join_that_outlasts_a_poll_is_finished(join: Join, kafka_admin: AdminClient) -> None:
    topic = f"late-{time.time_ns()}"
    first, second = join(topic), join(topic)
    time.sleep(2.0)
    second.may_poll.clear()
    kafka_admin.create_topics([NewTopic(topic, 2, 1)])[topic].result(PATIENCE_SECONDS)

    time.sleep(2.0)  # the first member's join waits for the second meanwhile
    second.may_poll.set()

    wait_until(lambda: len(first.owned) == len(second.owned) == 1, first, second)


def test_a_topic_that_is_deleted_stops_the_member(
    join: Join, fresh_topic: NewFreshTopic, kafka_admin: AdminClient
) -> None:
    topic = fresh_topic(1)
    member = join(topic)
    wait_until(lambda: len(member.owned) == 1, member)

    kafka_admin.delete_topics([topic])[topic].result(PATIENCE_SECONDS)

    with pytest.raises(TopicMissing, match=topic):
        wait_until(lambda: False, member)


def test_a_topic_that_is_made_again_stops_the_member(
    join: Join, fresh_topic: NewFreshTopic, kafka_admin: AdminClient, kafka_bootstrap: str
) -> None:
    topic = fresh_topic(1)
    write(kafka_bootstrap, topic, 0, 10)
    member = join(topic)
    wait_until(lambda: bool(member.read), member)

    kafka_admin.delete_topics([topic])[topic].result(PATIENCE_SECONDS)
    time.sleep(1.0)
    kafka_admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(PATIENCE_SECONDS)
    write(kafka_bootstrap, topic, 0, 20)

    with pytest.raises(OffsetLost, match=topic):
        wait_until(lambda: False, member)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_brokers_that_do_not_answer_are_unavailable(client: KafkaClient) -> None:
    settings = Settings(kafka_bootstrap="127.0.0.1:1", kafka_client=client)

    with pytest.raises(Unavailable, match="FLAGPOST_KAFKA_BOOTSTRAP"):
        open_source(settings, GroupTopics("any"))
    gc.collect()  # kafka-python leaves the sockets of failed attempts to the collector, which warns


def test_without_brokers_the_message_says_what_to_do(client: KafkaClient) -> None:
    with pytest.raises(BadConfiguration, match="run `flagpost up`"):
        open_source(Settings(kafka_bootstrap="", kafka_client=client), GroupTopics("any"))


def test_both_clients_write_the_id_of_a_topic_in_the_same_way(
    fresh_topic: NewFreshTopic, kafka_bootstrap: str
) -> None:
    topic = fresh_topic(1)
    found = []
    for client in get_args(KafkaClient):
        settings = Settings(kafka_bootstrap=kafka_bootstrap, kafka_client=client, group=topic)
        with closing(open_source(settings, GroupTopics(topic))) as source:
            found.append(source.topic_ids())

    assert found[0] == found[1]
