"""What becomes of an offset that the broker does not take, as while a group is being shared out."""

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import confluent_kafka
import kafka
import pytest
from confluent_kafka import KafkaError, TopicPartition
from kafka.errors import RebalanceInProgressError

from flagpost.events import Partition
from flagpost.kafka import confluent_source, kafka_python_source
from flagpost.kafka.factory import open_source
from flagpost.kafka.pairing import GroupTopics
from flagpost.settings import KafkaClient, Settings
from tests.integration.group_member import PATIENCE_SECONDS, Member, wait_until


class ConfluentRefused(confluent_kafka.Consumer):
    """The first commit is not sent, and answered as a broker answers in the middle of sharing."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config)
        self._answer = config["on_commit"]
        self._is_first = True
        self._refused: list[TopicPartition] = []

    def commit(self, **named: Any) -> Any:  # noqa: ANN401 - as the client says
        if self._is_first:
            self._is_first, self._refused = False, named["offsets"]
        else:
            super().commit(**named)

    def consume(self, num_messages: int = 1, timeout: float = -1) -> list[confluent_kafka.Message]:
        if self._refused:
            self._answer(KafkaError(KafkaError.REBALANCE_IN_PROGRESS), self._refused)
            self._refused = []
        return super().consume(num_messages, timeout)


class KafkaPythonRefused(kafka.KafkaConsumer):
    """The same of the other client."""

    _is_first = True

    def commit_async(self, offsets: object, callback: Callable[..., None]) -> None:
        if self._is_first:
            self._is_first = False
            callback(offsets, RebalanceInProgressError())
        else:
            super().commit_async(offsets, callback)


@pytest.fixture(params=["kafka-python", "confluent"])
def client(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> KafkaClient:
    monkeypatch.setattr(confluent_source, "Consumer", ConfluentRefused)
    monkeypatch.setattr(kafka_python_source, "KafkaConsumer", KafkaPythonRefused)
    chosen: KafkaClient = request.param
    return chosen


@pytest.fixture
def partition(fresh_topic: Callable[[int], str]) -> Partition:
    return Partition(fresh_topic(1), 0)


@pytest.fixture
def member(client: KafkaClient, kafka_bootstrap: str, partition: Partition) -> Iterator[Member]:
    """A member that has its partition, of which nothing has come."""
    settings = Settings(kafka_bootstrap=kafka_bootstrap, kafka_client=client, group=partition.topic)
    joined = Member(open_source(settings, GroupTopics(partition.topic)))
    joined.start()
    wait_until(lambda: bool(joined.owned), joined)
    yield joined
    joined.leave()


def committed(bootstrap: str, partition: Partition) -> int:
    config = {"bootstrap.servers": bootstrap, "group.id": partition.topic}
    with closing(confluent_kafka.Consumer(config)) as reader:
        [found] = reader.committed([TopicPartition(*partition)], PATIENCE_SECONDS)
    return int(found.offset)


def test_it_is_sent_again_also_when_nothing_more_comes(
    member: Member, partition: Partition, kafka_bootstrap: str
) -> None:
    member.act(lambda source: source.commit({partition: 7}))

    wait_until(lambda: committed(kafka_bootstrap, partition) == 7, member)


def test_it_is_sent_again_by_a_member_that_leaves(
    member: Member, partition: Partition, kafka_bootstrap: str
) -> None:
    member.act(lambda source: source.commit({partition: 7}))
    member.leave()

    assert committed(kafka_bootstrap, partition) == 7
