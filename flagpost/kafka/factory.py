"""The client that the settings or the caller name."""

from collections.abc import Iterable

from flagpost.errors import BadConfiguration
from flagpost.kafka.confluent_publisher import ConfluentPublisher
from flagpost.kafka.confluent_source import ConfluentSource
from flagpost.kafka.group import GroupMember
from flagpost.kafka.kafka_python_publisher import KafkaPythonPublisher
from flagpost.kafka.kafka_python_source import KafkaPythonSource
from flagpost.kafka.publisher import Publisher
from flagpost.kafka.source import Source
from flagpost.settings import KafkaClient, Settings


def require_bootstrap(settings: Settings) -> str:
    """The brokers' addresses.

    Raises:
        BadConfiguration: none are set.
    """
    if not settings.kafka_bootstrap:
        raise BadConfiguration(
            "FLAGPOST_KAFKA_BOOTSTRAP is not set: run `flagpost up`, or set it to host:port"
        )
    return settings.kafka_bootstrap


def open_source(settings: Settings, topics: Iterable[str]) -> Source:
    """Connect to Kafka as a member of `settings.group`, subscribed to `topics`.

    Raises:
        BadConfiguration: no brokers are set, or they refuse the settings.
        Unavailable: no broker answers within ten seconds.
    """
    opened = ConfluentSource if settings.kafka_client == "confluent" else KafkaPythonSource
    member = GroupMember(settings.group, settings.member_id, settings.session_seconds)
    return opened(require_bootstrap(settings), member, topics)


def open_publisher(bootstrap: str, client: KafkaClient) -> Publisher:
    """Connect to Kafka to write.

    Raises:
        Unavailable: no broker answers within ten seconds.
    """
    opened = ConfluentPublisher if client == "confluent" else KafkaPythonPublisher
    return opened(bootstrap)
