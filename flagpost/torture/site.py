"""Where a run takes place: topics, a database and a group that nobody else uses."""

from dataclasses import dataclass, field
from pathlib import Path

from flagpost.kafka.access import KafkaAccess
from flagpost.kafka.topics import ensure_topics
from flagpost.settings import KafkaClient
from flagpost.torture.database_proxy import DatabaseProxy

PARTITIONS, LABEL_PARTITIONS = 4, 3
SESSION_SECONDS = 6
"""The shortest that brokers allow by default: a dead member is to be missed soon."""


@dataclass(frozen=True, slots=True)
class Site:
    """Names and addresses; the members reach the database through the proxy alone.

    Attributes:
        directory: takes everything that is written.
        kafka_bootstrap: the broker.
        database_url: the database itself, with all tables.
        proxy: stands before the database.
        name: of the group and of the topic, and the beginning of the other topics' names.
        client: the Kafka client of the members.
    """

    directory: Path
    kafka_bootstrap: str
    database_url: str = field(repr=False)
    proxy: DatabaseProxy = field(repr=False)
    name: str
    client: KafkaClient

    @property
    def labels_topic(self) -> str:
        """Where the labels go."""
        return f"{self.name}.labels"

    @property
    def dead_letter_topic(self) -> str:
        """Where the bad messages go."""
        return f"{self.name}.dead"

    @property
    def topics(self) -> list[str]:
        """What the members read."""
        return [self.name, self.labels_topic]

    def create_topics(self) -> None:
        """Create all three topics; blocks."""
        ensure_topics(
            KafkaAccess(self.kafka_bootstrap),
            {self.name: PARTITIONS, self.labels_topic: LABEL_PARTITIONS, self.dead_letter_topic: 1},
        )

    def settings(self) -> dict[str, str]:
        """Return the environment of a member."""
        return {
            "FLAGPOST_KAFKA_BOOTSTRAP": self.kafka_bootstrap,
            "FLAGPOST_DATABASE_URL": self.proxy.database_url,
            "FLAGPOST_TOPIC": self.name,
            "FLAGPOST_LABELS_TOPIC": self.labels_topic,
            "FLAGPOST_DEAD_LETTER_TOPIC": self.dead_letter_topic,
            "FLAGPOST_GROUP": self.name,
            "FLAGPOST_KAFKA_CLIENT": self.client,
            "FLAGPOST_SESSION_SECONDS": str(SESSION_SECONDS),
            "FLAGPOST_KEEP_SCORES": "all",  # so that no score can change unseen
        }
