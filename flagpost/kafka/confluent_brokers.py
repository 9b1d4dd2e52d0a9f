"""What the brokers know of the topics of the group, asked with confluent-kafka."""

from collections.abc import Iterable
from concurrent.futures import Future
from typing import NamedTuple

from confluent_kafka import IsolationLevel, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import ListOffsetsResultInfo, OffsetSpec
from confluent_kafka.admin._topic import TopicDescription

from flagpost.errors import TopicMissing, Unavailable
from flagpost.events import Partition
from flagpost.kafka import group
from flagpost.kafka.access import KafkaAccess
from flagpost.kafka.confluent_errors import translated
from flagpost.kafka.topic_watch import missing


class KnownTopic(NamedTuple):
    """A topic that exists."""

    id: str
    n_partitions: int


class ConfluentBrokers:
    """Asks on a connection of its own: on a consumer's, each question would wait behind a fetch.

    Every method blocks for a round trip, and may raise:
        Unavailable: no answer in time.
    """

    def __init__(self, access: KafkaAccess, topics: frozenset[str]) -> None:
        self._topics = topics
        self._admin = AdminClient(
            {
                **access.for_librdkafka(),
                "reconnect.backoff.max.ms": group.RECONNECT_SECONDS * 1000,
                "log_level": 0,
            }
        )

    def bounds(self, partitions: Iterable[Partition]) -> dict[Partition, tuple[int, int]]:
        """Return the first offset still held and the offset after the last."""
        natives = [TopicPartition(*partition) for partition in partitions]
        firsts, ends = (
            self._admin.list_offsets(
                dict.fromkeys(natives, spec),
                isolation_level=IsolationLevel.READ_COMMITTED,
                request_timeout=group.REQUEST_SECONDS,
            )
            for spec in (OffsetSpec.earliest(), OffsetSpec.latest())
        )
        return {
            Partition(native.topic, native.partition): (
                _offset(native.topic, firsts[native]),
                _offset(native.topic, ends[native]),
            )
            for native in natives
        }

    def partitions(self) -> set[Partition]:
        """Return every partition.

        Raises:
            TopicMissing: a topic does not exist.
        """
        return {
            Partition(topic, partition.id)
            for topic, description in self._describe_all().items()
            for partition in description.partitions
        }

    def topic_ids(self) -> dict[str, str]:
        """Return the id of each topic.

        Raises:
            TopicMissing: a topic does not exist.
        """
        return {topic: _id_of(description) for topic, description in self._describe_all().items()}

    def known_topics(self, timeout_seconds: float) -> dict[str, KnownTopic]:
        """Return the topics that exist."""
        found = self._describe(timeout_seconds)
        return {
            topic: KnownTopic(_id_of(description), len(description.partitions))
            for topic, description in found.items()
        }

    def _describe_all(self) -> dict[str, TopicDescription]:
        found = self._describe(group.REQUEST_SECONDS)
        for topic in self._topics - found.keys():
            raise missing(topic)
        return found

    def _describe(self, timeout_seconds: float) -> dict[str, TopicDescription]:
        """Describe every topic that exists."""
        asked = self._admin.describe_topics(
            TopicCollection(sorted(self._topics)), request_timeout=timeout_seconds
        )
        found = {topic: _answer(answer, timeout_seconds) for topic, answer in asked.items()}
        return {topic: description for topic, description in found.items() if description}


def _offset(topic: str, asked: "Future[ListOffsetsResultInfo]") -> int:
    try:
        return asked.result().offset
    except KafkaException as error:
        raise translated(error.args[0], f"asking for offsets of {topic}") from error


def _answer(asked: "Future[TopicDescription]", timeout_seconds: float) -> TopicDescription | None:
    try:
        return asked.result(timeout_seconds + 1)
    except KafkaException as error:
        refusal = translated(
            error.args[0],
            "asking for topics; check FLAGPOST_KAFKA_BOOTSTRAP and "
            "FLAGPOST_KAFKA_SECURITY_PROTOCOL",
        )
        if isinstance(refusal, TopicMissing):
            return None
        raise refusal from error
    except TimeoutError as error:
        raise Unavailable("no broker has answered a question for topics in time") from error


def _id_of(description: TopicDescription) -> str:
    """As Kafka writes it. Here the client takes the letters of base 64 that are not for URLs."""
    return str(description.topic_id).replace("+", "-").replace("/", "_")
