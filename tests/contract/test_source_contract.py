"""What every `Source` does: the same tests on the one in memory and on both real clients."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from typing import Protocol
from uuid import uuid4

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic as TopicToCreate

from flagpost.errors import OffsetLost
from flagpost.events import Partition
from flagpost.kafka.access_settings import kafka_access
from flagpost.kafka.factory import open_source
from flagpost.kafka.pairing import GroupTopics
from flagpost.kafka.source import Poll, Record, Source
from flagpost.kafka.topics import ensure_topics
from flagpost.settings import KafkaClient, Settings
from tests.contract.memory_source import Log, MemorySource

PATIENCE_SECONDS = 20.0


class Topic(Protocol):
    """A topic to write to and to read with the source under test."""

    partitions: list[Partition]

    def write(self, number: int, records: Iterable[Record]) -> None: ...

    def write_transaction(self, number: int, records: Iterable[Record], *, commit: bool) -> None:
        """Write messages and the transaction's marker."""

    def make_again(self) -> None:
        """Delete the topic and create another one of its name."""

    def open(self) -> Source: ...


class MemoryTopic:
    def __init__(self, partitions: int) -> None:
        self.partitions = [Partition("memory", number) for number in range(partitions)]
        self._log: Log = {partition: [] for partition in self.partitions}
        self._ids: dict[str, str] = {}

    def write(self, number: int, records: Iterable[Record]) -> None:
        self._log[self.partitions[number]].extend(records)

    def write_transaction(self, number: int, records: Iterable[Record], *, commit: bool) -> None:
        self.write(number, records) if commit else self._write_gap(number, len(list(records)))
        self._write_gap(number, 1)

    def make_again(self) -> None:
        self._log = {partition: [] for partition in self.partitions}
        self._ids = {"memory": "another"}

    def open(self) -> Source:
        return MemorySource(self._log, ids=self._ids)

    def _write_gap(self, number: int, size: int) -> None:
        self._log[self.partitions[number]].extend([None] * size)


class KafkaTopic:
    def __init__(self, bootstrap: str, client: KafkaClient, name: str, partitions: int) -> None:
        self.partitions = [Partition(name, number) for number in range(partitions)]
        self._settings = Settings(
            kafka_bootstrap=bootstrap, kafka_client=client, group=f"group-{name}"
        )
        self._name = name

    def write(self, number: int, records: Iterable[Record]) -> None:
        producer = Producer({"bootstrap.servers": self._settings.kafka_bootstrap})
        self._produce(producer, number, records)
        assert producer.flush(PATIENCE_SECONDS) == 0

    def write_transaction(self, number: int, records: Iterable[Record], *, commit: bool) -> None:
        producer = Producer(
            {
                "bootstrap.servers": self._settings.kafka_bootstrap,
                "transactional.id": uuid4().hex,
            }
        )
        producer.init_transactions(PATIENCE_SECONDS)
        producer.begin_transaction()
        self._produce(producer, number, records)
        producer.flush(PATIENCE_SECONDS)
        (producer.commit_transaction if commit else producer.abort_transaction)(PATIENCE_SECONDS)

    def make_again(self) -> None:
        admin = AdminClient({"bootstrap.servers": self._settings.kafka_bootstrap, "log_level": 0})
        admin.delete_topics([self._name])[self._name].result(PATIENCE_SECONDS)
        same = TopicToCreate(self._name, len(self.partitions), 1)
        admin.create_topics([same])[self._name].result(PATIENCE_SECONDS)
        ensure_topics(kafka_access(self._settings), {self._name: len(self.partitions)})

    def open(self) -> Source:
        return open_source(self._settings, GroupTopics(self._name))

    def _produce(self, producer: Producer, number: int, records: Iterable[Record]) -> None:
        for record in records:
            producer.produce(
                self._name,
                key=record.key,
                value=record.value,
                headers=[*record.headers],
                timestamp=record.timestamp_ms or 0,
                partition=number,
            )


@pytest.fixture(params=["memory", "kafka-python", "confluent"])
def new_topic(request: pytest.FixtureRequest) -> Callable[[int], Topic]:
    if request.param == "memory":
        return MemoryTopic
    fresh_topic = request.getfixturevalue("fresh_topic")
    bootstrap = request.getfixturevalue("kafka_bootstrap")
    return lambda n: KafkaTopic(bootstrap, request.param, fresh_topic(n), n)


@pytest.fixture
def opened() -> Iterator[Callable[[Topic], Source]]:
    """Opens sources and closes them when the test is over."""
    with ExitStack() as stack:
        yield lambda topic: stack.enter_context(closing(topic.open()))


Opened = Callable[[Topic], Source]
NewTopic = Callable[[int], Topic]


def numbered(count: int, first: int = 0) -> list[Record]:
    return [Record(None, b"%d" % n, [], None) for n in range(first, first + count)]


def wait_for_assignment(source: Source, count: int) -> set[Partition]:
    assigned: set[Partition] = set()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(assigned) < count:
        assert time.monotonic() < deadline, f"assigned {assigned}, expected {count}"
        poll = source.poll(100, 0.2)
        assert not poll.chunks
        assigned |= poll.assigned
    return assigned


def start(source: Source, topic: Topic) -> None:
    wait_for_assignment(source, len(topic.partitions))
    source.seek(dict.fromkeys(topic.partitions, 0))


def polls(source: Source, seconds: float = PATIENCE_SECONDS) -> Iterator[Poll]:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        yield source.poll(100, 0.1)


def read(source: Source, count: int) -> dict[Partition, list[bytes | None]]:
    """The values of the next `count` messages."""
    values: dict[Partition, list[bytes | None]] = {}
    for poll in polls(source):
        for chunk in poll.chunks:
            values.setdefault(chunk.partition, []).extend(chunk.values)
        if sum(map(len, values.values())) >= count:
            break
    assert sum(map(len, values.values())) == count
    return values


def read_nothing(source: Source, seconds: float = 0.6) -> None:
    assert not any(poll.chunks for poll in polls(source, seconds))


def test_messages_of_a_partition_arrive_in_order(new_topic: NewTopic, opened: Opened) -> None:
    topic = new_topic(3)
    for number in range(3):
        topic.write(number, numbered(250, first=1000 * number))
    source = opened(topic)
    start(source, topic)

    values = read(source, 750)

    for number, partition in enumerate(topic.partitions):
        assert values[partition] == [r.value for r in numbered(250, first=1000 * number)]


def test_a_poll_takes_no_more_than_it_was_asked_for(new_topic: NewTopic, opened: Opened) -> None:
    topic = new_topic(2)
    topic.write(0, numbered(50))
    topic.write(1, numbered(50))
    source = opened(topic)
    start(source, topic)

    sizes = [sum(len(chunk.values) for chunk in source.poll(7, 5).chunks) for _ in range(5)]

    assert 0 < min(sizes) <= max(sizes) <= 7


def test_offsets_count_on_from_the_sought_one(new_topic: NewTopic, opened: Opened) -> None:
    topic = new_topic(1)
    topic.write(0, numbered(20))
    source = opened(topic)
    wait_for_assignment(source, 1)
    source.seek({topic.partitions[0]: 5})

    chunk = next(poll.chunks[0] for poll in polls(source) if poll.chunks)

    assert [chunk.offset(i) for i in range(3)] == [5, 6, 7]
    assert chunk.values[0] == b"5"
    assert chunk.next_offset == 5 + len(chunk.values)


def test_an_assignment_is_reported_once(new_topic: NewTopic, opened: Opened) -> None:
    topic = new_topic(2)
    source = opened(topic)

    assert wait_for_assignment(source, 2) == set(topic.partitions)
    source.seek(dict.fromkeys(topic.partitions, 0))
    assert not any(poll.assigned or poll.lost for poll in polls(source, 0.5))


def test_an_assignment_ends_the_wait(new_topic: NewTopic, opened: Opened) -> None:
    source = opened(new_topic(1))

    started = time.monotonic()
    poll = source.poll(100, PATIENCE_SECONDS)

    assert poll.assigned
    assert time.monotonic() - started < PATIENCE_SECONDS / 2


def test_nothing_arrives_before_a_seek(new_topic: NewTopic, opened: Opened) -> None:
    topic = new_topic(2)
    topic.write(0, numbered(10))
    topic.write(1, numbered(10))
    source = opened(topic)
    wait_for_assignment(source, 2)

    read_nothing(source)
    source.seek({topic.partitions[1]: 0})

    assert list(read(source, 10)) == [topic.partitions[1]]
    read_nothing(source)


def test_a_seek_back_delivers_again(new_topic: NewTopic, opened: Opened) -> None:
    topic = new_topic(1)
    topic.write(0, numbered(500))
    source = opened(topic)
    start(source, topic)
    read(source, 100)

    source.seek({topic.partitions[0]: 40})

    assert source.position(topic.partitions[0]) == 40
    [values] = read(source, 460).values()
    assert values == [r.value for r in numbered(460, first=40)]


def test_nothing_below_a_sought_offset_arrives(new_topic: NewTopic, opened: Opened) -> None:
    topic = new_topic(1)
    topic.write(0, numbered(1000))
    source = opened(topic)
    start(source, topic)
    read(source, 100)

    source.seek({topic.partitions[0]: 900})

    [values] = read(source, 100).values()
    assert values == [r.value for r in numbered(100, first=900)]


def test_a_paused_partition_waits_and_goes_on_where_it_was(
    new_topic: NewTopic, opened: Opened
) -> None:
    topic = new_topic(2)
    topic.write(0, numbered(300))
    topic.write(1, numbered(300))
    source = opened(topic)
    start(source, topic)
    before = read(source, 100)
    paused, flowing = topic.partitions

    source.pause([paused])
    done = len(before.get(flowing, []))
    assert list(read(source, 300 - done)) == [flowing]
    read_nothing(source)

    source.resume([paused])
    done = len(before.get(paused, []))
    assert read(source, 300 - done) == {paused: [r.value for r in numbered(300 - done, first=done)]}


def test_all_partitions_go_on_after_all_were_paused(new_topic: NewTopic, opened: Opened) -> None:
    topic = new_topic(4)
    for number in range(4):
        topic.write(number, numbered(300))
    source = opened(topic)
    start(source, topic)
    before = read(source, 100)

    source.pause(topic.partitions)
    read_nothing(source)
    source.resume(topic.partitions)

    after = read(source, 1100)
    for partition in topic.partitions:
        values = before.get(partition, []) + after[partition]
        assert values == [r.value for r in numbered(300)]


def test_a_partition_stays_paused_over_a_seek(new_topic: NewTopic, opened: Opened) -> None:
    topic = new_topic(1)
    topic.write(0, numbered(150))
    source = opened(topic)
    start(source, topic)
    read(source, 100)

    source.pause(topic.partitions)
    source.seek({topic.partitions[0]: 3})
    read_nothing(source)

    source.resume(topic.partitions)
    assert read(source, 147) == {topic.partitions[0]: [r.value for r in numbered(147, first=3)]}


def test_a_resume_does_not_start_what_waits_for_its_seek(
    new_topic: NewTopic, opened: Opened
) -> None:
    topic = new_topic(1)
    topic.write(0, numbered(10))
    source = opened(topic)
    wait_for_assignment(source, 1)

    source.pause(topic.partitions)
    source.resume(topic.partitions)

    read_nothing(source)


def test_an_idle_poll_ends_in_time(new_topic: NewTopic, opened: Opened) -> None:
    topic = new_topic(1)
    source = opened(topic)
    start(source, topic)
    read_nothing(source)

    started = time.monotonic()
    source.poll(100, 0.2)

    assert 0.1 < time.monotonic() - started < 1.5


def test_a_message_ends_the_wait_for_it(new_topic: NewTopic, opened: Opened) -> None:
    topic = new_topic(1)
    source = opened(topic)
    start(source, topic)
    read_nothing(source)
    topic.write(0, numbered(1))

    started = time.monotonic()
    assert read(source, 1)

    assert time.monotonic() - started < 1.0


def test_bounds_are_the_first_offset_and_the_one_after_the_last(
    new_topic: NewTopic, opened: Opened
) -> None:
    topic = new_topic(2)
    topic.write(0, numbered(7))
    source = opened(topic)

    first, second = topic.partitions
    assert source.bounds(topic.partitions) == {first: (0, 7), second: (0, 0)}


def test_the_partitions_are_those_of_the_topic(new_topic: NewTopic, opened: Opened) -> None:
    topic = new_topic(3)

    assert opened(topic).partitions() == set(topic.partitions)


def test_a_topic_made_again_has_another_id(new_topic: NewTopic, opened: Opened) -> None:
    topic = new_topic(1)
    [name] = {partition.topic for partition in topic.partitions}
    first, same = opened(topic).topic_ids(), opened(topic).topic_ids()
    topic.make_again()

    assert first == same
    assert opened(topic).topic_ids().keys() == first.keys() == {name}
    assert opened(topic).topic_ids()[name] != first[name]


def test_a_message_keeps_all_that_it_carries(new_topic: NewTopic, opened: Opened) -> None:
    now_ms = time.time_ns() // 1_000_000
    records = [
        Record(b"key", b"value", [("a", b"1"), ("a", b"\xff"), ("empty", None)], now_ms),
        Record(b"key", None, [], now_ms + 1),
        Record(None, None, [("", b"")], now_ms + 2),
        Record(b"", b"", [], now_ms + 3),
    ]
    topic = new_topic(1)
    topic.write(0, records)
    source = opened(topic)
    start(source, topic)

    found = [
        chunk.record(index)
        for poll in polls(source, 1)
        for chunk in poll.chunks
        for index in range(len(chunk.values))
    ]

    assert found == records


def test_the_position_passes_transaction_markers(new_topic: NewTopic, opened: Opened) -> None:
    topic = new_topic(1)
    [partition] = topic.partitions
    topic.write_transaction(0, numbered(3), commit=True)
    topic.write_transaction(0, numbered(4, first=100), commit=False)
    topic.write_transaction(0, numbered(2, first=3), commit=True)
    source = opened(topic)
    start(source, topic)

    assert read(source, 5) == {partition: [r.value for r in numbered(5)]}
    read_nothing(source)

    assert source.bounds([partition]) == {partition: (0, 12)}
    assert source.position(partition) == 12


def test_there_is_no_position_before_a_seek(new_topic: NewTopic, opened: Opened) -> None:
    topic = new_topic(1)
    source = opened(topic)
    wait_for_assignment(source, 1)

    assert source.position(topic.partitions[0]) is None
    source.seek({topic.partitions[0]: 0})
    assert source.position(topic.partitions[0]) == 0


def test_an_offset_that_the_topic_does_not_hold_stops_the_poll(
    new_topic: NewTopic, opened: Opened
) -> None:
    topic = new_topic(1)
    topic.write(0, numbered(5))
    source = opened(topic)
    wait_for_assignment(source, 1)
    source.seek({topic.partitions[0]: 500})

    with pytest.raises(OffsetLost, match="500"):
        for _ in polls(source):
            pass


def test_a_seek_of_a_partition_of_somebody_else_is_left_out(
    new_topic: NewTopic, opened: Opened
) -> None:
    topic = new_topic(1)
    topic.write(0, numbered(5))
    source = opened(topic)

    source.seek({topic.partitions[0]: 0})

    wait_for_assignment(source, 1)
    read_nothing(source)
