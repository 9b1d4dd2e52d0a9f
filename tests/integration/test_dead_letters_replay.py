"""Dead letters on the real servers: listed, shown, and sent again, each once."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime

import pytest
from confluent_kafka import Consumer, Message, TopicPartition
from sqlalchemy import Engine
from typer.testing import CliRunner, Result

from flagpost.cli import app
from flagpost.dead_letters import replaying
from flagpost.dead_letters.letter import REPLAY_OF, LetterId
from flagpost.dead_letters.replaying import Replaying
from flagpost.dead_letters.report import printable
from flagpost.errors import BadConfiguration, Unavailable
from flagpost.events import BadMessage, Partition, Reason
from flagpost.kafka.access import KafkaAccess
from flagpost.kafka.dead_letter_reader import read_dead_letters, read_value
from flagpost.kafka.dead_letters import DeadLetters
from flagpost.kafka.resending import Outgoing, Resender
from flagpost.kafka.source import Record
from flagpost.postgres.replays import Edit, claim
from tests.contract.memory_source import MemoryChunk

NOON_MS = int(datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp() * 1000)
HOUR_MS = 3_600_000
WRONG = BadMessage(0, Reason.WRONG_TYPE, "amount", "`amount` must be a number, not `str`.")
BROKEN = BadMessage(0, Reason.NOT_JSON, None, "The message cannot be read.")

NewFreshTopic = Callable[..., str]


class World:
    """A topic with its dead letters, a database, and the command between them."""

    def __init__(self, bootstrap: str, database_url: str, topic: str, dead: str) -> None:
        self.bootstrap = bootstrap
        self.access = KafkaAccess(bootstrap)
        self.topic = topic
        self.dead = dead
        self._env = {
            "FLAGPOST_KAFKA_BOOTSTRAP": bootstrap,
            "FLAGPOST_DATABASE_URL": database_url,
            "FLAGPOST_TOPIC": topic,
            "FLAGPOST_DEAD_LETTER_TOPIC": dead,
            "COLUMNS": "200",
        }

    def bury(self, offset: int, record: Record, bad: BadMessage = WRONG, partition: int = 0) -> str:
        """Write a dead letter as the worker does, and return its id."""
        self.bury_all([offset], [record], bad, partition)
        return f"{self.topic}/{partition}/{offset}"

    def bury_all(
        self,
        offsets: list[int],
        records: list[Record],
        bad: BadMessage = WRONG,
        partition: int = 0,
    ) -> None:
        chunk = MemoryChunk(Partition(self.topic, partition), offsets, records)
        with closing(DeadLetters(self.access, self.dead, "scorers")) as letters:
            for index in range(len(offsets)):
                letters.send(chunk, index, bad)
            letters.flush()

    def run(self, *arguments: str, stdin: bytes | None = None) -> Result:
        return CliRunner(env=self._env).invoke(app, ["dead-letters", *arguments], input=stdin)

    def listed(self, *arguments: str) -> list[dict[str, object]]:
        result = self.run("list", "--json", *arguments)
        assert result.exit_code == 0, result.output
        return [json.loads(line) for line in result.stdout.splitlines()]

    def arrived(self, partition: int = 0) -> list[Message]:
        """Everything that was sent to a partition of the topic."""
        config = {"bootstrap.servers": self.bootstrap, "group.id": "tests"}
        with closing(Consumer(config)) as consumer:
            _, end = consumer.get_watermark_offsets(TopicPartition(self.topic, partition), 20)
            consumer.assign([TopicPartition(self.topic, partition, 0)])
            return consumer.consume(end, 20) if end else []


@pytest.fixture
def world(kafka_bootstrap: str, database_url: str, fresh_topic: NewFreshTopic) -> World:
    return World(kafka_bootstrap, database_url, fresh_topic(1), fresh_topic(1))


def test_a_dead_letter_is_listed_once_with_where_when_and_why(world: World) -> None:
    record = Record(b"u1", b'{"amount":"1"}', [], NOON_MS)
    for _ in range(2):  # a batch that was repeated sends it again
        world.bury(41, record)

    assert world.listed() == [
        {
            "id": f"{world.topic}/0/41",
            "topic": world.topic,
            "partition": 0,
            "offset": 41,
            "time": "2026-03-01T12:00:00Z",
            "reason": "wrong_type",
            "field": "amount",
            "message": "`amount` must be a number, not `str`.",
            "replay": "open",
            "replayed_at": None,
        }
    ]
    table = world.run("list").stdout
    assert f"{world.topic}/0/41" in table
    assert "2026-03-01 12:00:00" in table


@pytest.mark.parametrize(
    ("arguments", "offsets"),
    [
        ((), [1, 2, 3]),
        (("--reason", "not_json"), [2]),
        (("--since", "2026-03-01T13:00"), [2, 3]),
        (("--topic", "another"), []),
        (("--limit", "1"), [3]),
    ],
    ids=["all", "reason", "since", "topic", "limit"],
)
def test_the_list_is_filtered(world: World, arguments: tuple[str, ...], offsets: list[int]) -> None:
    world.bury(1, Record(None, b"x", [], NOON_MS))
    world.bury(2, Record(None, b"{", [], NOON_MS + HOUR_MS), BROKEN)
    world.bury(3, Record(None, b"y", [], NOON_MS + HOUR_MS))

    assert [each["offset"] for each in world.listed(*arguments)] == offsets


def test_one_is_shown_whole_and_its_value_byte_for_byte(world: World) -> None:
    value = b'{"note":"' + b"long " * 100 + b'\xff"}'
    letter = world.bury(7, Record(b"u1", value, [("trace", b"abc")], NOON_MS))

    shown = world.run("show", letter)

    assert shown.exit_code == 0, shown.output
    assert printable(value) in shown.stdout
    assert "header trace" in shown.stdout
    assert world.run("show", letter, "--value").stdout_bytes == value


def test_it_is_sent_again_with_its_key_and_headers_and_marked(world: World) -> None:
    headers: list[tuple[str, bytes | None]] = [("trace", b"\x00\xff"), ("empty", None)]
    letter = world.bury(7, Record(b"u1", b'{"amount":"1"}', headers, NOON_MS))

    first, second = world.run("replay", letter), world.run("replay", "--all")

    assert (first.exit_code, first.stdout) == (0, "replayed 1, before 0\n")
    assert (second.exit_code, second.stdout) == (0, "replayed 0, before 1\n")
    [message] = world.arrived()
    assert (message.key(), message.value()) == (b"u1", b'{"amount":"1"}')
    assert message.headers() == [*headers, (REPLAY_OF, letter.encode())]
    assert [each["replay"] for each in world.listed()] == ["replayed"]


def test_it_is_sent_as_it_was_edited(world: World) -> None:
    letter = world.bury(7, Record(b"u1", b'{"amount":"1"}', [], NOON_MS))

    result = world.run("replay", letter, "--value-file", "-", "--key", "u2", stdin=b'{"amount":1}')

    assert result.exit_code == 0, result.output
    [message] = world.arrived()
    assert (message.key(), message.value()) == (b"u2", b'{"amount":1}')


def test_each_goes_to_its_partition_however_its_producer_placed_keys(
    kafka_bootstrap: str, database_url: str, fresh_topic: NewFreshTopic
) -> None:
    world = World(kafka_bootstrap, database_url, fresh_topic(3), fresh_topic(1))
    for partition in range(3):
        world.bury(7, Record(b"u1", b"%d" % partition, [], NOON_MS), partition=partition)

    assert world.run("replay", "--all").exit_code == 0

    sent = [[message.value() for message in world.arrived(number)] for number in range(3)]
    assert sent == [[b"0"], [b"1"], [b"2"]]


def test_an_unknown_reason_is_refused_with_those_that_there_are(world: World) -> None:
    result = world.run("list", "--reason", "wrong_typo")

    assert result.exit_code == BadConfiguration.exit_code
    assert "wrong_typo" in result.stderr
    assert "wrong_type" in result.stderr


def test_only_those_of_a_reason_are_sent_again(world: World) -> None:
    world.bury(1, Record(None, b"x", [], NOON_MS))
    world.bury(2, Record(None, b"{", [], NOON_MS), BROKEN)

    assert world.run("replay", "--reason", "not_json").exit_code == 0

    assert [message.value() for message in world.arrived()] == [b"{"]


def test_a_value_that_was_too_large_to_be_kept_is_read_where_it_was(world: World) -> None:
    headers: list[tuple[str, bytes | None]] = [
        ("__connect.errors.topic", world.topic.encode()),
        ("__connect.errors.partition", b"0"),
        ("__connect.errors.offset", b"0"),
        ("flagpost.value.omitted.bytes", b"18"),
    ]
    resender = Resender(world.access)
    resender.send([Outgoing(LetterId(world.topic, 0, 0), 0, b"u1", b"kept at the source", [])])
    resender.send([Outgoing(LetterId(world.dead, 0, 0), 0, b"u1", None, headers)])

    result = world.run("replay", f"{world.topic}/0/0")

    assert result.exit_code == 0, result.output
    assert [message.value() for message in world.arrived()] == [b"kept at the source"] * 2


def test_two_operators_at_the_same_time_send_each_once(world: World, engine: Engine) -> None:
    offsets = list(range(1_200))
    world.bury_all(offsets, [Record(b"u", b"%d" % n, [], NOON_MS) for n in offsets])

    def replay_all(_: int) -> int:
        resender = Resender(world.access)
        replaying = Replaying(engine, resender, lambda place: read_value(world.access, place))
        letters = read_dead_letters(world.access, world.dead, lambda _: None)
        replaying.replay(letters, Edit())
        return len(replaying.outcome.replayed)

    with ThreadPoolExecutor() as operators:
        assert sum(operators.map(replay_all, range(2))) == 1_200
    values = sorted(int(message.value() or b"") for message in world.arrived())
    assert values == offsets


def dies(*_: object) -> None:
    raise Unavailable("the program ends here")


@pytest.mark.parametrize("was_sent", [False, True], ids=["before it was sent", "after it"])
def test_what_a_crash_left_half_done_is_seen_and_finished_as_it_was_edited(
    world: World, engine: Engine, monkeypatch: pytest.MonkeyPatch, *, was_sent: bool
) -> None:
    letter = world.bury(7, Record(b"u1", b'{"amount":"1"}', [], NOON_MS))
    edited = b'{"amount":1}'
    if was_sent:
        with monkeypatch.context() as crash:
            crash.setattr(replaying, "finish", dies)
            world.run("replay", letter, "--value-file", "-", stdin=edited)
    else:
        claim(engine, [LetterId.parse(letter)], "host:1", Edit(value=edited))

    assert [each["replay"] for each in world.listed()] == ["half done"]
    others = world.run("replay", letter)
    finished = world.run("replay", "--finish")
    again = world.run("replay", "--finish")

    assert others.exit_code == 1
    assert "claimed by" in others.stderr
    assert (finished.exit_code, finished.stdout) == (0, "replayed 1, before 0\n")
    assert (again.exit_code, again.stdout) == (0, "replayed 0, before 0\n")
    assert [each["replay"] for each in world.listed()] == ["replayed"]
    assert [message.value() for message in world.arrived()] == [edited] * (2 if was_sent else 1)


@pytest.mark.parametrize(
    ("arguments", "exit_code", "says"),
    [
        (("replay",), 2, "say which"),
        (("replay", "t/0/1", "--all"), 2, "say which"),
        (("replay", "nonsense"), 2, "expected TOPIC/PARTITION/OFFSET"),
        (("replay", "t/0/1"), 2, "there is no dead letter t/0/1"),
        (("replay", "--all", "--key", "u2"), 2, "for one ID alone"),
        (("replay", "t/0/1", "--value-file", "no-such-file"), 4, "cannot be read"),
        (("list", "--since", "yesterday"), 3, "is no time"),
        (("show", "t/0/1"), 2, "there is no dead letter"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_one_line(
    world: World, arguments: tuple[str, ...], exit_code: int, says: str
) -> None:
    result = world.run(*arguments)

    assert result.exit_code == exit_code
    assert says in result.stderr
    assert len(result.stderr.splitlines()) == 1
