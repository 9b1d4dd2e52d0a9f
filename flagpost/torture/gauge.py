"""How far a group is, and how far its topics go."""

from collections.abc import Mapping

import psycopg
from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]  # it is public
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from flagpost.events import Partition
from flagpost.kafka.access import KafkaAccess
from flagpost.torture.site import Site

TIMEOUT_SECONDS = 10

Offsets = dict[Partition, int]

patiently = retry(
    retry=retry_if_exception_type((psycopg.OperationalError, KafkaException, TimeoutError)),
    stop=stop_after_delay(120),
    wait=wait_fixed(0.2),
    reraise=True,
)
"""A server that was killed just now is asked again until it answers."""


class Gauge:
    """Looks at the positions of a site's group, and at the ends of its topics; each call blocks."""

    def __init__(self, site: Site) -> None:
        self._site = site
        servers = KafkaAccess(site.kafka_bootstrap).for_librdkafka() | {"log_level": 0}
        self._admin = AdminClient(servers)

    @patiently
    def positions(self) -> Offsets:
        """Return the next offset of every partition that a member has ever had."""
        with psycopg.connect(self._site.database_url) as connection:
            rows = connection.execute(
                'SELECT topic, partition, next_offset FROM stream.positions WHERE "group" = %s',
                [self._site.name],
            ).fetchall()
        return {Partition(topic, number): offset for topic, number, offset in rows}

    @patiently
    def ends(self) -> Offsets:
        """Return the offset behind the last message of every partition."""
        topics = self._admin.list_topics(timeout=TIMEOUT_SECONDS).topics
        asked = {
            TopicPartition(topic, number): OffsetSpec.latest()
            for topic in self._site.topics
            for number in topics[topic].partitions
        }
        answers = self._admin.list_offsets(asked, request_timeout=TIMEOUT_SECONDS)
        return {
            Partition(where.topic, where.partition): answer.result(TIMEOUT_SECONDS).offset
            for where, answer in answers.items()
        }

    def has_reached(self, target: Mapping[Partition, int]) -> bool:
        """Say whether every partition is at a target, or beyond it."""
        positions = self.positions()
        return all(positions.get(partition, 0) >= end for partition, end in target.items())

    def n_done(self) -> int:
        """How many messages are done with."""
        return sum(self.positions().values())
