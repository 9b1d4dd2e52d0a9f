"""Which partitions of other topics belong to whoever has one of the topic that is shared out."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from flagpost.events import Partition


@dataclass(frozen=True)
class GroupTopics:
    """What a group reads.

    The partitions of the `leading` topic are shared out evenly among the members. Those of the
    `following` ones go with them, so they need not be as many, and nobody counts them.
    """

    leading: str
    following: tuple[str, ...] = ()

    @property
    def all(self) -> frozenset[str]:
        """The names of all of them."""
        return frozenset({self.leading, *self.following})


def followers(leading: Collection[int], n_leading: int, n_following: int) -> set[int]:
    """Return the partitions of a topic with `n_following` that follow these `leading` ones.

    Partition n follows n modulo `n_leading`, the number of partitions of the leading topic. So
    each follows one and only one, however many there are of either topic.
    """
    return {number for number in range(n_following) if number % n_leading in leading}


class Pairing:
    """What follows what, as far as is known of the topics. Safe on any thread.

    A topic never gets fewer partitions; a broker that tells fewer than another is late.
    """

    def __init__(self, topics: GroupTopics) -> None:
        self._topics = topics
        self._n_partitions: dict[str, int] = {}

    def learn(self, n_partitions: Mapping[str, int]) -> None:
        """Take in how many partitions topics have; of what is not told, the last number stays."""
        before = self._n_partitions
        self._n_partitions = before | {
            topic: max(number, before.get(topic, 0)) for topic, number in n_partitions.items()
        }

    def completed(self, given: Iterable[Partition]) -> set[Partition]:
        """Return what a member has by what the group has given it.

        These are the partitions of the leading topic and those that follow them. Others are left
        out: only a group whose members subscribe to more than that gives them away.
        """
        known, leading = self._n_partitions, self._topics.leading
        led = {partition for partition in given if partition.topic == leading}
        numbers = {partition.number for partition in led}
        n_leading = known.get(leading, 0)
        return led | {
            Partition(topic, number)
            for topic in self._topics.following
            if n_leading
            for number in followers(numbers, n_leading, known.get(topic, 0))
        }
