"""What kafka-python's members tell their group, and how one of them shares out."""

from typing import NamedTuple

from kafka.protocol.consumer.metadata import (
    ConsumerProtocolAssignment,
    ConsumerProtocolSubscription,
)

from flagpost.kafka.leading_assignor import LeadingAssignor

PARTITIONS = {"transactions": set(range(6)), "labels": set(range(6))}


class Cluster:
    """Six partitions of each of two topics."""

    def topics(self) -> set[str]:
        return set(PARTITIONS)

    def partitions_for_topic(self, topic: str) -> set[int]:
        return PARTITIONS[topic]


class GroupMember(NamedTuple):
    member_id: str
    metadata: ConsumerProtocolSubscription


def member_with(name: str, *numbers: int) -> GroupMember:
    """Return what the group has heard of a member that has these partitions."""
    assignor = LeadingAssignor("transactions")
    given = [("transactions", list(numbers)), ("labels", list(numbers))]
    assignor.on_assignment(ConsumerProtocolAssignment(1, given, b""), 1)
    heard = assignor.metadata(["transactions", "labels"]).encode()
    return GroupMember(name, ConsumerProtocolSubscription.decode(heard))


def test_the_group_hears_of_the_leading_topic_alone() -> None:
    metadata = member_with("a", 1, 3).metadata

    assert list(metadata.topics) == ["transactions"]
    [owned] = metadata.owned_partitions
    assert (owned.topic, list(owned.partitions)) == ("transactions", [1, 3])


def test_the_name_is_that_of_librdkafka() -> None:
    assert LeadingAssignor("transactions").name == "cooperative-sticky"


def test_the_leading_topic_alone_is_shared_out_and_as_little_as_possible_moves() -> None:
    members = [member_with("a", 0, 1), member_with("b", 2, 3, 4, 5), member_with("c")]

    shared = LeadingAssignor("transactions").assign(Cluster(), members)

    kept = {name: assignment.partitions() for name, assignment in shared.items()}
    assert {native.topic for natives in kept.values() for native in natives} == {"transactions"}
    assert {native.partition for native in kept["a"]} == {0, 1}
    assert len(kept["b"]) == 2
    assert kept["c"] == []  # it gets the other two when they have been given up
