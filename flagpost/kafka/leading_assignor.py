"""kafka-python's group membership, with partitions that follow those that the group shares out."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple, Protocol

from kafka import TopicPartition
from kafka.cluster import ClusterMetadata
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.coordinator.consumer import ConsumerCoordinator
from kafka.protocol.consumer.metadata import (
    ConsumerProtocolAssignment,
    ConsumerProtocolSubscription,
)

from flagpost.events import Partition

Complete = Callable[[Iterable[Partition]], Collection[Partition]]
"""Says what a member has by what the group has given it."""


class DescribedMember(Protocol):
    """A member as the group hears of it."""

    @property
    def metadata(self) -> ConsumerProtocolSubscription:
        """What it has subscribed to, and which partitions it has."""


class LeadingAssignor(CooperativeStickyAssignor):
    """Speaks to the group as if its member had subscribed to one topic and no other.

    The name is that of the parent, and of librdkafka's: members with either can be one group. It
    remembers what its member owns, so every member needs its own.
    """

    def __init__(self, topic: str) -> None:
        super().__init__()
        self.member_assignment: list[TopicPartition] | None = None
        self._topic = topic

    def metadata(self, _: Iterable[str]) -> ConsumerProtocolSubscription:
        """Return what the group hears of this member."""
        return super().metadata({self._topic})

    def on_assignment(self, assignment: ConsumerProtocolAssignment, generation: int) -> None:
        """Remember what the group has given, without what follows it."""
        super().on_assignment(assignment, generation)
        self.member_assignment = [
            native for native in assignment.partitions() if native.topic == self._topic
        ]

    def assign(
        self, cluster: ClusterMetadata, members: Collection[DescribedMember]
    ) -> dict[str, ConsumerProtocolAssignment]:
        """Share out what members have subscribed to."""
        topics = {topic for member in members for topic in member.metadata.topics}
        return super().assign(_Subscribed(cluster, topics), members)


class _Subscribed(NamedTuple):
    """The part of a cluster that is shared out.

    With topics that nobody can get, the assignor would think that the members have subscribed to
    different ones, and would move more partitions than it has to.
    """

    cluster: ClusterMetadata
    subscribed: set[str]

    def topics(self) -> set[str]:
        return self.subscribed

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        return self.cluster.partitions_for_topic(topic)


def complete_assignments(coordinator: ConsumerCoordinator, complete: Complete) -> None:
    """Have `coordinator` take what `complete` returns for what the group has given its member.

    It then finds out by itself what is new and what is lost. The consumer has to be subscribed to
    all topics that may come up. `complete` is called on the client's IO thread.
    """
    take = coordinator._on_join_complete_async  # noqa: SLF001 - there is no public way between

    async def take_completed(
        generation: int, member_id: str, protocol: str, assignment: bytes
    ) -> None:
        await take(generation, member_id, protocol, _completed(assignment, complete))

    coordinator._on_join_complete_async = take_completed  # noqa: SLF001


def _completed(assignment: bytes, complete: Complete) -> bytes:
    given = ConsumerProtocolAssignment.decode(assignment)
    numbers = defaultdict[str, list[int]](list)
    for partition in sorted(complete(Partition(*native) for native in given.partitions())):
        numbers[partition.topic].append(partition.number)
    encoded: bytes = ConsumerProtocolAssignment(
        given.version, list(numbers.items()), given.user_data
    ).encode()
    return encoded
