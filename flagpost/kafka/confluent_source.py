"""A group member on confluent-kafka (librdkafka)."""

import math
import time
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from itertools import compress, groupby
from typing import cast

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from flagpost.errors import FlagpostError, MemberReplaced, Unavailable
from flagpost.events import Partition
from flagpost.kafka import group
from flagpost.kafka.access import KafkaAccess
from flagpost.kafka.advice import CommitAdvice
from flagpost.kafka.collection import collection_paused
from flagpost.kafka.confluent_brokers import ConfluentBrokers
from flagpost.kafka.confluent_chunk import ConfluentChunk
from flagpost.kafka.confluent_errors import is_final, is_refused_for_now, translated
from flagpost.kafka.influx import Influx
from flagpost.kafka.membership import Membership
from flagpost.kafka.pairing import GroupTopics, Pairing
from flagpost.kafka.reachability import Reachability
from flagpost.kafka.source import Chunk, Poll
from flagpost.kafka.topic_watch import TopicWatch

CONSUMER_CONFIG = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    # Every position is sought; where that is impossible the poll raises instead of skipping.
    "auto.offset.reset": "error",
    "isolation.level": "read_committed",
    "allow.auto.create.topics": False,
    "partition.assignment.strategy": "cooperative-sticky",
    "heartbeat.interval.ms": group.HEARTBEAT_SECONDS * 1000,
    "max.poll.interval.ms": group.MAX_POLL_SECONDS * 1000,
    "topic.metadata.refresh.interval.ms": group.METADATA_SECONDS * 1000,
    "reconnect.backoff.max.ms": group.RECONNECT_SECONDS * 1000,
    "fetch.wait.max.ms": group.FETCH_WAIT_MS,
    "fetch.max.bytes": 4 << 20,
    # As the producer packs them, some 5,000 messages: partitions stay near each other.
    "max.partition.fetch.bytes": 1 << 18,
    # What the client reads ahead, unpacked: enough that the worker's next poll seldom waits.
    # Eight times as much holds 150 MB more and is no faster.
    "queued.max.messages.kbytes": 8 << 10,
    "queued.min.messages": 20_000,
    # When the queue is full the default is to look again after a whole second.
    "fetch.queue.backoff.ms": 10,
    "check.crcs": True,
    # The end of a partition moves `position` past the transaction markers before it.
    "enable.partition.eof": True,
    # What the client logs again and again, this source says once, or raises.
    "log_level": 0,
}

REPLACED_AGAIN_SECONDS = 300
"""A member that is replaced a second time within this has a rival and must end."""

AWAITED_SHARE = 0.9
"""Of the messages that usually come in the time of a batch; to wait for them costs nothing else."""

MOST_QUEUED = 100_000
"""More messages than the client ever holds."""

CHANGE_SECONDS = 0.05
"""How long after a loss the group's next word is waited for, and after a refusal until the next."""

ANSWER_SECONDS = 0.005
"""How often one looks for the answer to a last commit."""

LOOK_SECONDS = 0.5
"""How long a poll may ask whether the brokers and the topics are there."""


class ConfluentSource:
    """Implements `Source`; see there."""

    def __init__(self, access: KafkaAccess, member: group.GroupMember, topics: GroupTopics) -> None:
        """Set the client up; it connects by itself and joins the group in the first polls.

        Raises:
            Unavailable: no broker answers.
            BadConfiguration: the client refuses the settings.
        """
        self._topics = topics
        self._pairing = Pairing(topics)
        self._given: set[Partition] = set()
        self._owned: set[Partition] = set()
        self._membership = Membership()
        self._advice = CommitAdvice()
        self._influx = Influx(AWAITED_SHARE)
        self._reachability = Reachability(access.bootstrap)
        self._watch = TopicWatch(topics.all)
        self._refusal: FlagpostError | None = None
        self._started: dict[Partition, int] = {}
        self._config = {
            **CONSUMER_CONFIG,
            **access.for_librdkafka(),
            **_identity(member),
            "error_cb": self._note_refusal,
            "on_commit": self._note_answer,
        }
        self._consumer = Consumer(self._config)
        self._replaced_at = -math.inf
        self._brokers = ConfluentBrokers(access, topics.all)
        self._note_topics(group.REQUEST_SECONDS)
        self._ask_for_followers()
        self._subscribe()

    def poll(self, max_messages: int, timeout_seconds: float) -> Poll:
        """See `Source.poll`."""
        try:
            return self._poll(max_messages, timeout_seconds)
        except MemberReplaced:
            if time.monotonic() - self._replaced_at < REPLACED_AGAIN_SECONDS:
                raise
            return self._join_again()

    def _poll(self, max_messages: int, timeout_seconds: float) -> Poll:
        messages = self._consume(max_messages, timeout_seconds)
        if self._refusal:
            raise self._refusal
        if self._watch.is_due():  # the client passes over a topic that is gone, or another by now
            self._look_around()
        assigned, lost = self._membership.changes()
        self._advice.forget(lost)
        self._send_commits(self._advice.take_due())
        if messages:
            self._reachability.seen()
        return Poll(self._chunks(messages), assigned, lost)

    def _join_again(self) -> Poll:
        """Join anew as the same member, with a client of which nothing is remembered.

        After a silence of the broker that outlasts the session, the client may send a commit
        without saying which member it is. The broker takes it for another process's, and the client
        gives up for good. Who is really replaced by another process is so again, and soon.
        """
        self._replaced_at = time.monotonic()
        self._refusal = None
        self._consumer.close()
        self._membership.lose_all()
        self._given.clear()
        self._owned.clear()
        self._started.clear()
        self._consumer = Consumer(self._config)
        self._subscribe()
        assigned, lost = self._membership.changes()
        self._advice.forget(lost)
        return Poll([], assigned, lost)

    def _subscribe(self) -> None:
        self._consumer.subscribe(
            [self._topics.leading],
            on_assign=self._gain,
            on_revoke=self._lose,
            on_lost=self._lose,
        )

    def _ask_for_followers(self) -> None:
        """Have the client know where topics are that it does not subscribe to.

        When it is to read of one that it does not know, it looks a second later.
        """
        for topic in self._topics.following:
            with suppress(KafkaException):  # then it takes that second
                self._consumer.list_topics(topic, group.REQUEST_SECONDS)

    def seek(self, offsets: Mapping[Partition, int]) -> None:
        """See `Source.seek`."""
        owned = {p: offset for p, offset in offsets.items() if self._membership.owns(p)}
        # Assigning anew drops what was fetched, whatever state the partition is in; the client's
        # own seek fails on a partition whose fetching has not begun.
        if flowing := owned.keys() & self._started.keys():
            self._stop(flowing)
        if owned:
            self._start(owned)

    def pause(self, partitions: Iterable[Partition]) -> None:
        """See `Source.pause`."""
        self._consumer.pause(_native(self._membership.pause(partitions)))

    def resume(self, partitions: Iterable[Partition]) -> None:
        """See `Source.resume`."""
        self._consumer.resume(_native(self._membership.resume(partitions)))

    def bounds(self, partitions: Iterable[Partition]) -> dict[Partition, tuple[int, int]]:
        """See `Source.bounds`."""
        return self._brokers.bounds(partitions)

    def position(self, partition: Partition) -> int | None:
        """See `Source.position`."""
        if not self._membership.sought(partition):
            return None
        [native] = self._consumer.position([TopicPartition(*partition)])
        return native.offset if native.offset >= 0 else self._started[partition]

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        """See `Source.commit`."""
        self._advice.note(offsets)

    def partitions(self) -> set[Partition]:
        """See `Source.partitions`."""
        return self._brokers.partitions()

    def topic_ids(self) -> dict[str, str]:
        """See `Source.topic_ids`."""
        return self._brokers.topic_ids()

    def close(self) -> None:
        """See `Source.close`."""
        self._take_leave()
        self._consumer.close()

    def _take_leave(self) -> None:
        """Tell Kafka how far this member came, and accept what the group has changed.

        A commit that is refused is sent again, for some seconds: no later one would tell. And
        closing shall ask for the last time only. If it asked twice, it might have ended when the
        second answer comes; see `_lose`.
        """
        until, wait_seconds = time.monotonic() + group.LEAVE_SECONDS, 0.0
        while True:
            _, lost = self._membership.changes()
            self._advice.forget(lost)
            self._send_commits(self._advice.take_all())
            self._consumer.consume(MOST_QUEUED, wait_seconds)  # a change comes behind messages
            is_told = self._advice.is_settled or time.monotonic() > until
            if is_told and not self._membership.changed:
                break
            is_quiet = self._advice.awaits_answer and not self._membership.changed
            wait_seconds = ANSWER_SECONDS if is_quiet else CHANGE_SECONDS

    def _gain(self, consumer: Consumer, natives: list[TopicPartition]) -> None:
        # Called inside `consume`. An empty assignment accepts the partitions without fetching:
        # that begins with `seek`.
        consumer.incremental_assign([])
        self._given.update(_ours(natives))
        self._settle()  # nothing is to be given up because more was given

    def _lose(self, _: Consumer, natives: list[TopicPartition]) -> None:
        # Called inside `consume` and `close`. Giving up accepts the loss, also of what is not
        # fetched. One call and no more: after it a closing client may end, and one that is just
        # ending drops a request unanswered: the call never returns, nor does the interpreter.
        self._given.difference_update(_ours(natives))
        self._give_up(self._settle())

    def _settle(self) -> set[Partition]:
        """Own what the group has given and what follows it; returns what is to be given up."""
        owned = self._pairing.completed(self._given)
        gone, new = self._owned - owned, owned - self._owned
        self._owned = owned
        if gone:
            self._membership.lose(gone)
        if new:
            self._membership.gain(new)
        return gone

    def _give_up(self, partitions: set[Partition]) -> None:
        flowing = partitions & self._started.keys()
        # The client would remember the pause and keep it, should the partition come back.
        self._consumer.resume(_native(flowing))
        self._stop(flowing)

    def _stop(self, flowing: Collection[Partition]) -> None:
        for partition in flowing:
            del self._started[partition]
        self._consumer.incremental_unassign(_native(flowing))

    def _start(self, offsets: Mapping[Partition, int]) -> None:
        self._started.update(offsets)
        for partition in offsets:
            self._membership.seek(partition)
        self._consumer.incremental_assign(
            [TopicPartition(*partition, offset) for partition, offset in offsets.items()]
        )
        self._consumer.pause(_native(p for p in offsets if not self._membership.flows(p)))

    def _consume(self, max_messages: int, timeout_seconds: float) -> list[Message]:
        deadline = time.monotonic() + timeout_seconds
        messages = self._take(max_messages, 0)
        while not (messages or self._membership.changed):
            left_seconds = deadline - time.monotonic()
            if left_seconds <= 0:
                break
            # `consume` waits until it has all it was asked for: wait for one, then take the rest.
            messages = self._take(1, min(left_seconds, group.POLL_SLICE_SECONDS))
        if messages and timeout_seconds > 0:
            messages += self._gather(max_messages - len(messages), len(messages))
        self._influx.note(len(messages))
        return messages

    def _gather(self, max_messages: int, n_there: int) -> list[Message]:
        """Take what belongs to messages that are there: as many as usually come, or what came."""
        n_missing = min(self._influx.expected() - n_there, max_messages)
        deadline = time.monotonic() + group.GATHER_SECONDS
        gathered = list[Message]()
        # The client counts whole milliseconds: with less it would not wait.
        while len(gathered) < n_missing and (left_seconds := deadline - time.monotonic()) >= 0.001:
            gathered += self._take(n_missing - len(gathered), left_seconds)
        return gathered + self._take(max_messages - len(gathered), 0)

    def _take(self, count: int, timeout_seconds: float) -> list[Message]:
        with collection_paused():
            messages = self._consumer.consume(count, timeout_seconds)
        if any(map(Message.error, messages)):
            return [message for message in messages if self._is_sound(message)]
        return messages

    def _is_sound(self, message: Message) -> bool:
        """Whether `message` is one; the client mixes what went wrong in between.

        Raises:
            FlagpostError: the error does not go away by itself.
        """
        error = message.error()
        if error is None:
            return True
        self._reachability.seen()
        if is_final(error):
            place = f"{message.topic()}[{message.partition()}] at offset {message.offset()}"
            raise translated(error, f"reading {place}")
        return False

    def _chunks(self, messages: list[Message]) -> list[Chunk]:
        runs: dict[Partition, list[Message]] = {}
        for topic, of_topic in groupby(messages, Message.topic):
            for number, run in groupby(of_topic, Message.partition):
                partition = Partition(cast("str", topic), cast("int", number))
                runs.setdefault(partition, []).extend(run)
        return [
            ConfluentChunk.of(partition, run)
            for partition, run in runs.items()
            if self._membership.sought(partition)
        ]

    def _send_commits(self, offsets: Mapping[Partition, int]) -> None:
        if offsets:
            native = [TopicPartition(*partition, offset) for partition, offset in offsets.items()]
            self._consumer.commit(offsets=native, asynchronous=True)

    def _note_answer(self, error: KafkaError | None, natives: list[TopicPartition]) -> None:
        # Called inside `consume`. Where one partition is refused, librdkafka says it of all.
        offsets = {Partition(each.topic, each.partition): each.offset for each in natives}
        reasons = [each.error or error for each in natives]
        refused = [reason is not None and is_refused_for_now(reason) for reason in reasons]
        again = set(compress(offsets, refused))
        self._advice.answered(offsets, {p for p in again if self._membership.owns(p)})

    def _look_around(self) -> None:
        """Are the brokers and the topics still there? Waits for an answer."""
        try:
            self._note_topics(LOOK_SECONDS)
        except Unavailable:
            self._reachability.unseen()

    def _note_topics(self, timeout_seconds: float) -> None:
        found = self._brokers.known_topics(timeout_seconds)
        self._reachability.seen()
        self._watch.look({topic: known.id for topic, known in found.items()})
        self._pairing.learn({topic: known.n_partitions for topic, known in found.items()})
        gone = self._settle()
        if gone & self._started.keys():
            self._give_up(gone)

    def _note_refusal(self, error: KafkaError) -> None:
        # Called inside `consume`, which passes no exception on.
        if is_final(error):
            self._refusal = translated(error, "the connection")


def _identity(member: group.GroupMember) -> dict[str, str | int]:
    static = {"group.instance.id": member.member_id} if member.member_id else {}
    session_ms = member.session_seconds * 1000
    return {"group.id": member.group_id, "session.timeout.ms": session_ms, **static}


def _ours(natives: Iterable[TopicPartition]) -> list[Partition]:
    return [Partition(native.topic, native.partition) for native in natives]


def _native(partitions: Iterable[Partition]) -> list[TopicPartition]:
    return [TopicPartition(*partition) for partition in partitions]
