"""Members share one topic out evenly, and partitions of another follow: each client, and both."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions, NewTopic

from flagpost.errors import OffsetLost, TopicMissing
from flagpost.events import Partition
from flagpost.kafka.factory import open_source
from flagpost.kafka.pairing import GroupTopics
from flagpost.settings import KafkaClient, Settings
from tests.integration.group_member import PATIENCE_SECONDS, Member, wait_until

CREWS: dict[str, Sequence[KafkaClient]] = {
    "kafka-python": ["kafka-python"] * 3,
    "confluent": ["confluent"] * 3,
    "both, kafka-python first": ["kafka-python", "confluent", "kafka-python"],
    "both, confluent first": ["confluent", "kafka-python", "confluent"],
}
UNENDING_SECONDS = 10 * int(PATIENCE_SECONDS)
"""A session that nobody here waits for."""


class Group:
    """Members that read two topics; the clients of a crew join one after the other."""

    def __init__(self, bootstrap: str, topics: GroupTopics, crew: Sequence[KafkaClient]) -> None:
        self.leading = topics.leading
        [self.following] = topics.following
        self.members: list[Member] = []
        self._bootstrap = bootstrap
        self._topics = topics
        self._clients = iter(crew)

    def join(self, member_id: str = "") -> Member:
        settings = Settings(
            kafka_bootstrap=self._bootstrap,
            kafka_client=next(self._clients),
            group=self.leading,
            member_id=member_id,
            session_seconds=UNENDING_SECONDS if member_id else 10,
        )
        self.members.append(Member(open_source(settings, self._topics)))
        self.members[-1].start()
        return self.members[-1]

    def leave(self, member: Member) -> None:
        member.leave()
        self.members.remove(member)

    def wait_until_shared(self, leading: list[int], following: list[int]) -> None:
        """Wait until the members have so many partitions, each with those that follow it."""

        def is_shared() -> bool:
            leading_found = self._shares(self.leading)
            following_found = self._shares(self.following)
            return (
                sorted(map(len, leading_found)) == leading
                and sorted(map(len, following_found)) == following
                and len(set().union(*leading_found)) == sum(leading)
                and len(set().union(*following_found)) == sum(following)
                and all(
                    {number % sum(leading) for number in followers} <= numbers
                    for numbers, followers in zip(leading_found, following_found, strict=True)
                )
            )

        wait_until(is_shared, *self.members)

    def write(self, topic: str, numbers: Sequence[int], count: int) -> None:
        producer = Producer({"bootstrap.servers": self._bootstrap})
        for number in numbers:
            for value in range(count):
                producer.produce(topic, value=b"%d" % value, partition=number)
        assert producer.flush(PATIENCE_SECONDS) == 0

    def committed(self, partition: Partition) -> int:
        config = {"bootstrap.servers": self._bootstrap, "group.id": self.leading}
        with closing(Consumer(config)) as reader:
            [found] = reader.committed([TopicPartition(*partition)], PATIENCE_SECONDS)
        return int(found.offset)

    def _shares(self, topic: str) -> list[set[int]]:
        return [{p.number for p in member.owned if p.topic == topic} for member in self.members]


NewGroup = Callable[[int, int], Group]


@pytest.fixture(params=CREWS)
def new_group(
    request: pytest.FixtureRequest, kafka_bootstrap: str, fresh_topic: Callable[[int], str]
) -> Iterator[NewGroup]:
    """A function that makes a group without members, and two topics with so many partitions."""
    groups: list[Group] = []

    def make(n_leading: int, n_following: int) -> Group:
        topics = GroupTopics(fresh_topic(n_leading), (fresh_topic(n_following),))
        groups.append(Group(kafka_bootstrap, topics, CREWS[request.param]))
        return groups[-1]

    yield make
    for group in groups:
        for member in group.members:
            member.leave()


def test_who_joins_later_gets_an_even_share_of_both_topics(new_group: NewGroup) -> None:
    group = new_group(4, 4)
    for share in ([4], [2, 2], [1, 1, 2]):
        group.join()
        group.wait_until_shared(share, share)

    group.leave(group.members[0])

    group.wait_until_shared([2, 2], [2, 2])


@pytest.mark.parametrize(
    ("leading", "following"), [([2, 2], [0, 1]), ([0, 1], [0, 3]), ([1, 1], [2, 3])]
)
def test_the_topics_need_not_have_as_many_partitions(
    new_group: NewGroup, leading: list[int], following: list[int]
) -> None:
    group = new_group(sum(leading), sum(following))
    group.join()
    group.wait_until_shared([sum(leading)], [sum(following)])

    group.join()

    group.wait_until_shared(leading, following)


def test_what_follows_flows_on_or_moves_with_what_it_follows(new_group: NewGroup) -> None:
    group = new_group(2, 2)
    first = group.join()
    group.wait_until_shared([2], [2])
    group.write(group.following, [0, 1], 10)
    followers = [Partition(group.following, number) for number in range(2)]
    wait_until(lambda: sum(map(len, first.read.values())) == 20, first)

    second = group.join()
    group.wait_until_shared([1, 1], [1, 1])
    group.write(group.following, [0, 1], 10)

    everything = list(range(20))
    [kept] = first.owned.intersection(followers)
    [moved] = second.owned.intersection(followers)
    wait_until(lambda: everything in second.read.values(), first, second)
    wait_until(lambda: first.read[kept] == everything, first, second)
    assert first.read[moved] == list(range(10))


def test_a_follower_that_was_paused_flows_when_it_comes_back(new_group: NewGroup) -> None:
    group = new_group(2, 2)
    first = group.join()
    group.wait_until_shared([2], [2])
    first.act(lambda source: source.pause(first.owned))
    second = group.join()
    group.wait_until_shared([1, 1], [1, 1])
    [back] = [p for p in second.owned if p.topic == group.following]
    group.write(group.following, [0, 1], 10)

    group.leave(second)

    wait_until(lambda: bool(first.read), first)
    assert first.read == {back: list(range(10))}


def test_partitions_added_to_the_topic_that_follows_are_found(
    new_group: NewGroup, kafka_admin: AdminClient
) -> None:
    group = new_group(2, 1)
    group.join()
    group.join()
    group.wait_until_shared([1, 1], [0, 1])

    add_partitions(kafka_admin, group.following, 4)

    group.wait_until_shared([1, 1], [2, 2])


def test_partitions_added_to_the_topic_that_leads_change_what_follows(
    new_group: NewGroup, kafka_admin: AdminClient
) -> None:
    group = new_group(2, 4)
    group.join()
    group.join()
    group.wait_until_shared([1, 1], [2, 2])

    add_partitions(kafka_admin, group.leading, 4)

    group.wait_until_shared([2, 2], [2, 2])


def test_a_static_member_goes_on_with_what_it_had(new_group: NewGroup) -> None:
    group = new_group(2, 2)
    former, other = group.join("one"), group.join("two")
    group.wait_until_shared([1, 1], [1, 1])
    kept = set(other.owned)
    group.leave(former)

    again = group.join("one")

    group.wait_until_shared([1, 1], [1, 1])
    assert again.owned == former.owned
    assert other.owned == kept


def test_commits_of_what_follows_reach_the_lag_tools(new_group: NewGroup) -> None:
    group = new_group(1, 1)
    member = group.join()
    group.wait_until_shared([1], [1])
    group.write(group.following, [0], 10)
    partition = Partition(group.following, 0)
    wait_until(lambda: bool(member.read), member)

    member.act(lambda source: source.commit({partition: 7}))

    wait_until(lambda: group.committed(partition) == 7, member)


def test_a_topic_that_follows_and_is_deleted_stops_the_member(
    new_group: NewGroup, kafka_admin: AdminClient
) -> None:
    group = new_group(1, 1)
    member = group.join()
    group.wait_until_shared([1], [1])

    kafka_admin.delete_topics([group.following])[group.following].result(PATIENCE_SECONDS)

    with pytest.raises(TopicMissing, match=group.following):
        wait_until(lambda: False, member)


def test_a_topic_that_follows_and_is_made_again_stops_the_member(
    new_group: NewGroup, kafka_admin: AdminClient
) -> None:
    group = new_group(1, 1)
    member = group.join()
    group.wait_until_shared([1], [1])
    group.write(group.following, [0], 10)
    wait_until(lambda: bool(member.read), member)

    kafka_admin.delete_topics([group.following])[group.following].result(PATIENCE_SECONDS)
    time.sleep(1.0)
    same = NewTopic(group.following, 1, 1)
    kafka_admin.create_topics([same])[group.following].result(PATIENCE_SECONDS)
    group.write(group.following, [0], 20)

    with pytest.raises(OffsetLost, match=group.following):
        wait_until(lambda: False, member)


def add_partitions(admin: AdminClient, topic: str, number: int) -> None:
    admin.create_partitions([NewPartitions(topic, number)])[topic].result(PATIENCE_SECONDS)
