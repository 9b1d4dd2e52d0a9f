"""What operators ask of the brokers: how long topics are, and who is in the group."""

from collections.abc import Collection, Mapping
from concurrent.futures import Future
from typing import TypeVar

from confluent_kafka import (
    ConsumerGroupTopicPartitions,
    IsolationLevel,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from flagpost.errors import Unavailable
from flagpost.events import Partition
from flagpost.kafka import group
from flagpost.kafka.access import KafkaAccess
from flagpost.kafka.access_check import check_access
from flagpost.kafka.confluent_errors import translated
from flagpost.kafka.topic_watch import missing

Answer = TypeVar("Answer")


class Administration:
    """Asks the brokers; every method blocks for ten seconds at most, and so does the beginning.

    Each may raise:
        Unavailable: no broker answers.
        BadConfiguration: the broker refuses the credentials or the request.
    """

    def __init__(self, access: KafkaAccess) -> None:
        check_access(access)
        self._admin = AdminClient({**access.for_librdkafka(), "log_level": 0})

    def bounds(self, topics: Collection[str]) -> dict[Partition, tuple[int, int]]:
        """Return the first offset still held and the offset behind the last, of each partition.

        Raises:
            TopicMissing: one of the topics does not exist.
        """
        partitions = self._partitions(topics)
        first = self._offsets(partitions, OffsetSpec.earliest())
        end = self._offsets(partitions, OffsetSpec.latest())
        return {partition: (first[partition], end[partition]) for partition in partitions}

    def members(self, group_id: str) -> list[str]:
        """Return the hosts and ids of the group's members; none of a group that never was.

        A broker that is new looks for the group's coordinator first; that is waited for.
        """
        patiently = Retrying(
            retry=retry_if_exception_type(Unavailable),
            wait=wait_fixed(0.2),
            stop=stop_after_delay(group.REQUEST_SECONDS),
            reraise=True,
        )
        return patiently(self._members, group_id)

    def _members(self, group_id: str) -> list[str]:
        described = self._admin.describe_consumer_groups(
            [group_id], request_timeout=group.REQUEST_SECONDS
        )
        found = _answer(described[group_id], f"asking for group {group_id}")
        return [f"{member.host}:{member.member_id}" for member in found.members]

    def move_group(self, group_id: str, offsets: Mapping[Partition, int]) -> None:
        """Set the offsets that lag tools see. Only a group without members lets that be done."""
        natives = [TopicPartition(topic, number, at) for (topic, number), at in offsets.items()]
        moved = self._admin.alter_consumer_group_offsets(
            [ConsumerGroupTopicPartitions(group_id, natives)],
            request_timeout=group.REQUEST_SECONDS,
        )
        _answer(moved[group_id], f"moving the offsets of group {group_id}")

    def _partitions(self, topics: Collection[str]) -> list[Partition]:
        try:
            found = self._admin.list_topics(timeout=group.REQUEST_SECONDS).topics
        except KafkaException as error:
            raise translated(
                error.args[0], "asking for topics; check FLAGPOST_KAFKA_BOOTSTRAP"
            ) from error
        for topic in topics:
            if topic not in found:
                raise missing(topic)
        return [Partition(topic, number) for topic in topics for number in found[topic].partitions]

    def _offsets(
        self, partitions: Collection[Partition], which: OffsetSpec
    ) -> dict[Partition, int]:
        answers = self._admin.list_offsets(
            {TopicPartition(*partition): which for partition in partitions},
            isolation_level=IsolationLevel.READ_COMMITTED,
            request_timeout=group.REQUEST_SECONDS,
        )
        return {
            Partition(asked.topic, asked.partition): _answer(answer, "asking for offsets").offset
            for asked, answer in answers.items()
        }


def _answer(future: "Future[Answer]", doing: str) -> Answer:
    try:
        return future.result()
    except KafkaException as error:
        raise translated(error.args[0], doing) from error
