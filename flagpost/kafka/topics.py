"""Creating topics."""

import time
from collections.abc import Collection, Mapping
from collections.abc import Set as AbstractSet
from concurrent.futures import Future

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._metadata import TopicMetadata
from confluent_kafka.cimpl import NewTopic

from flagpost.errors import Unavailable
from flagpost.kafka import group
from flagpost.kafka.access import KafkaAccess
from flagpost.kafka.access_check import check_access
from flagpost.kafka.confluent_errors import translated
from flagpost.kafka.topic_watch import missing

_LOOK_AGAIN_SECONDS = 0.05
_BROKERS_DEFAULT = -1


def ensure_topics(
    access: KafkaAccess, partitions: Mapping[str, int], required: Collection[str] = ()
) -> None:
    """Create the topics that are missing and wait until all can be written to. Blocks.

    Topics that exist stay as they are, also with another number of partitions. New ones get the
    replication factor that the brokers give by default. Two callers at the same time are fine.

    Args:
        access: to the brokers.
        partitions: the number of partitions for each topic.
        required: topics that others create; without one of them nothing is done.

    Raises:
        TopicMissing: a required topic does not exist.
        Unavailable: no broker answers, or the topics are not ready, within ten seconds.
        BadConfiguration: the broker refuses a name, a number or these credentials.
    """
    check_access(access)
    admin = AdminClient({**access.for_librdkafka(), "log_level": 0})
    there = _topics(admin)
    for topic in required:
        if topic not in there:
            raise missing(topic)
    if wanting := partitions.keys() - _ready(there):
        wanted = [NewTopic(topic, partitions[topic], _BROKERS_DEFAULT) for topic in wanting]
        for created in admin.create_topics(wanted, request_timeout=group.REQUEST_SECONDS).values():
            _await_created(created)
    _await_ready(admin, partitions.keys())


def _await_created(created: "Future[None]") -> None:
    try:
        created.result(group.REQUEST_SECONDS)
    except KafkaException as error:
        if error.args[0].name() != "TOPIC_ALREADY_EXISTS":
            raise translated(error.args[0], "creating topics") from error


def _await_ready(admin: AdminClient, topics: AbstractSet[str]) -> None:
    deadline = time.monotonic() + group.REQUEST_SECONDS
    while unready := topics - _ready(_topics(admin)):
        if time.monotonic() > deadline:
            raise Unavailable(f"topics not ready: {', '.join(sorted(unready))}")
        time.sleep(_LOOK_AGAIN_SECONDS)


def _ready(topics: Mapping[str, TopicMetadata]) -> set[str]:
    """Those whose every partition has a leader."""
    return {
        name
        for name, topic in topics.items()
        if topic.partitions and all(p.leader >= 0 for p in topic.partitions.values())
    }


def _topics(admin: AdminClient) -> dict[str, TopicMetadata]:
    try:
        return admin.list_topics(timeout=group.REQUEST_SECONDS).topics
    except KafkaException as error:
        raise translated(
            error.args[0],
            "asking for topics; check FLAGPOST_KAFKA_BOOTSTRAP and "
            "FLAGPOST_KAFKA_SECURITY_PROTOCOL",
        ) from error
