"""Closing a librdkafka member."""

from collections.abc import Callable
from typing import ClassVar

import pytest
from confluent_kafka import Consumer, TopicPartition

from flagpost.kafka import confluent_source
from flagpost.kafka.factory import open_source
from flagpost.kafka.pairing import GroupTopics
from flagpost.settings import Settings
from tests.integration.group_member import Member, wait_until


class Recording(Consumer):
    """Notes what is given up, and by how many calls."""

    given_up: ClassVar[list[list[TopicPartition]]] = []

    def incremental_unassign(self, partitions: list[TopicPartition]) -> None:
        self.given_up.append(partitions)
        super().incremental_unassign(partitions)


def test_closing_gives_everything_up_in_one_call(
    kafka_bootstrap: str, fresh_topic: Callable[[int], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A call after the one that accepts the loss may come upon a client that has just ended, and
    # then never returns; librdkafka drops the request unanswered.
    topic = fresh_topic(3)
    monkeypatch.setattr(confluent_source, "Consumer", Recording)
    settings = Settings(kafka_bootstrap=kafka_bootstrap, kafka_client="confluent", group=topic)
    member = Member(open_source(settings, GroupTopics(topic, ())))
    member.start()
    wait_until(lambda: len(member.owned) == 3, member)
    monkeypatch.setattr(Recording, "given_up", [])

    member.leave()

    [given_up] = Recording.given_up
    assert {native.partition for native in given_up} == {0, 1, 2}
