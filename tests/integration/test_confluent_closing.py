"""Closing a librdkafka member."""

import time
from collections.abc import Callable
from typing import ClassVar

import pytest
from confluent_kafka import Consumer, TopicPartition

from flagpost.events import Partition
from flagpost.kafka import confluent_source, group
from flagpost.kafka.factory import open_source
from flagpost.kafka.pairing import GroupTopics
from flagpost.kafka.source import Source
from flagpost.settings import Settings
from tests.integration.group_member import Member

# A call after the one that accepts the last loss may come upon a client that has just ended, and
# then never returns: librdkafka drops the request unanswered.


class Recording(Consumer):
    """Notes what it is asked to read, and no more to read, while it is closed."""

    asked: ClassVar[list[list[TopicPartition]]] = []
    is_closing = False

    def incremental_assign(self, partitions: list[TopicPartition]) -> None:
        self._note(partitions)
        super().incremental_assign(partitions)

    def incremental_unassign(self, partitions: list[TopicPartition]) -> None:
        self._note(partitions)
        super().incremental_unassign(partitions)

    def close(self) -> None:
        self.is_closing = True
        super().close()

    def _note(self, partitions: list[TopicPartition]) -> None:
        if self.is_closing:
            self.asked.append(partitions)


@pytest.fixture
def open_member(
    kafka_bootstrap: str, fresh_topic: Callable[[int], str], monkeypatch: pytest.MonkeyPatch
) -> Callable[[], Source]:
    """A function that opens a member of a group with three partitions."""
    monkeypatch.setattr(confluent_source, "Consumer", Recording)
    monkeypatch.setattr(Recording, "asked", [])
    topic = fresh_topic(3)
    settings = Settings(kafka_bootstrap=kafka_bootstrap, kafka_client="confluent", group=topic)
    return lambda: open_source(settings, GroupTopics(topic, ()))


def poll_until_all_are_owned(source: Source) -> None:
    owned = set[Partition]()
    while len(owned) < 3:
        poll = source.poll(100, 0.1)
        source.seek(dict.fromkeys(poll.assigned, 0))
        owned |= poll.assigned


def test_closing_gives_everything_up_in_one_call(open_member: Callable[[], Source]) -> None:
    source = open_member()
    poll_until_all_are_owned(source)

    source.close()

    [given_up] = Recording.asked
    assert {native.partition for native in given_up} == {0, 1, 2}


def test_closing_asks_once_also_when_the_group_has_changed(
    open_member: Callable[[], Source],
) -> None:
    source = open_member()
    poll_until_all_are_owned(source)
    other = Member(open_member())
    other.start()
    time.sleep(3 * group.HEARTBEAT_SECONDS)  # the client hears of it, the source does not

    source.close()

    n_asked = len(Recording.asked)
    other.leave()
    assert n_asked == 1
