"""The client that the settings or the caller name.

Only that one is imported: it takes a while, and a member that starts anew is waited for.
"""

from flagpost.kafka.access import KafkaAccess
from flagpost.kafka.access_check import check_access
from flagpost.kafka.access_settings import kafka_access
from flagpost.kafka.group import GroupMember
from flagpost.kafka.pairing import GroupTopics
from flagpost.kafka.publisher import Publisher
from flagpost.kafka.source import Source
from flagpost.settings import KafkaClient, Settings


def open_source(settings: Settings, topics: GroupTopics) -> Source:
    """Connect to Kafka as a member of `settings.group`, to read `topics`.

    Raises:
        BadConfiguration: no brokers are set, or they refuse the settings.
        Unavailable: no broker answers within ten seconds.
    """
    access = kafka_access(settings)
    check_access(access)
    member = GroupMember(settings.group, settings.member_id, settings.session_seconds)
    if settings.kafka_client == "confluent":
        from flagpost.kafka.confluent_source import ConfluentSource  # noqa: PLC0415

        return ConfluentSource(access, member, topics)
    from flagpost.kafka.kafka_python_source import KafkaPythonSource  # noqa: PLC0415

    return KafkaPythonSource(access, member, topics)


def open_publisher(access: KafkaAccess, client: KafkaClient) -> Publisher:
    """Connect to Kafka to write.

    Raises:
        BadConfiguration: the brokers refuse the access.
        Unavailable: no broker answers within ten seconds.
    """
    check_access(access)
    if client == "confluent":
        from flagpost.kafka.confluent_publisher import ConfluentPublisher  # noqa: PLC0415

        return ConfluentPublisher(access)
    from flagpost.kafka.kafka_python_publisher import KafkaPythonPublisher  # noqa: PLC0415

    return KafkaPythonPublisher(access)
