"""Notices that a topic of the group is gone, or is another one of the same name."""

import time
from collections.abc import Mapping

from flagpost.errors import OffsetLost, TopicMissing
from flagpost.kafka.group import TOPIC_GRACE_SECONDS

CHECK_INTERVAL_SECONDS = 1.0


def missing(topic: str) -> TopicMissing:
    """The error for a topic that is not there."""
    return TopicMissing(f"topic {topic!r} does not exist; create it or correct its name")


class TopicWatch:
    """Compares what the cluster says about the topics of the group with what it said before."""

    def __init__(self, topics: frozenset[str]) -> None:
        self._topics = topics
        self._ids: dict[str, str] = {}
        self._missing_since: dict[str, float] = {}
        self._due = 0.0

    def is_due(self) -> bool:
        """Whether it is time to look again."""
        return time.monotonic() >= self._due

    def look(self, found: Mapping[str, str]) -> None:
        """Take in the ids of the topics that exist now.

        Raises:
            OffsetLost: a topic was deleted and created again; the stored offsets are another's.
            TopicMissing: a topic has been missing for `TOPIC_GRACE_SECONDS`.
        """
        now = time.monotonic()
        self._due = now + CHECK_INTERVAL_SECONDS
        for topic in self._topics & found.keys():
            self._missing_since.pop(topic, None)
            self._check_identity(topic, found[topic])
        for topic in self._topics - found.keys():
            if now - self._missing_since.setdefault(topic, now) > TOPIC_GRACE_SECONDS:
                raise missing(topic)

    def _check_identity(self, topic: str, topic_id: str) -> None:
        known = self._ids.setdefault(topic, topic_id)
        if known != topic_id:
            raise OffsetLost(
                f"topic {topic!r} was deleted and created again; "
                "its stored positions belong to the old one: use another group or restore the topic"
            )
