"""A group member on kafka-python."""

import logging
import sys
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping

from kafka import KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka.errors import FencedInstanceIdError, KafkaError
from kafka.net.compat import KafkaNetClient
from kafka.structs import MemberState

from flagpost.errors import Unavailable
from flagpost.events import Partition
from flagpost.kafka import group
from flagpost.kafka.access import KafkaAccess
from flagpost.kafka.advice import CommitAdvice
from flagpost.kafka.assignment_listener import AssignmentListener
from flagpost.kafka.backlog import Backlog
from flagpost.kafka.batch_fetcher import BatchFetcher
from flagpost.kafka.influx import Influx
from flagpost.kafka.kafka_python_chunk import KafkaPythonChunk
from flagpost.kafka.kafka_python_errors import is_passing, translated
from flagpost.kafka.known_coordinator import KnownCoordinator
from flagpost.kafka.leading_assignor import LeadingAssignor, complete_assignments
from flagpost.kafka.membership import Membership
from flagpost.kafka.pairing import GroupTopics, Pairing
from flagpost.kafka.reachability import Reachability
from flagpost.kafka.record_layout import load_kernel
from flagpost.kafka.source import Chunk, Poll
from flagpost.kafka.topic_watch import TopicWatch, missing

FETCH_BYTES = 8 << 20
PARTITION_FETCH_BYTES = 512 << 10
"""One fetch is some 2,500 messages of a partition, or three times that where the broker keeps them
compressed: enough to keep it from being asked often, and little enough to hold unpacked."""

AWAITED_SHARE = 0.7
"""Of the messages that usually come in the time of a batch: another fetch is a millisecond's work,
and with much of a batch at hand it is better to go on."""

CONSUMER_CONFIG = {
    "enable_auto_commit": False,
    # Every position is sought; where that is impossible the poll raises instead of skipping.
    "auto_offset_reset": "none",
    "isolation_level": "read_committed",
    "allow_auto_create_topics": False,
    "heartbeat_interval_ms": group.HEARTBEAT_SECONDS * 1000,
    "max_poll_interval_ms": group.MAX_POLL_SECONDS * 1000,
    "fetch_max_wait_ms": group.FETCH_WAIT_MS,
    "fetch_max_bytes": FETCH_BYTES,
    "max_partition_fetch_bytes": PARTITION_FETCH_BYTES,
    "bootstrap_timeout_ms": group.REQUEST_SECONDS * 1000,
    "metadata_max_age_ms": group.METADATA_SECONDS * 1000,
    "reconnect_backoff_max_ms": group.RECONNECT_SECONDS * 1000,
    # Nobody reads them, and they cost at every fetch.
    "metrics_enabled": False,
}


class KafkaPythonSource:
    """Implements `Source`; see there."""

    def __init__(self, access: KafkaAccess, member: group.GroupMember, topics: GroupTopics) -> None:
        """Connect; the group is joined by the first polls.

        Raises:
            Unavailable: no broker answers.
            BadConfiguration: the broker or the client refuses the settings.
        """
        # What the client logs again and again, this source says once, or raises.
        logging.getLogger("kafka").setLevel(logging.CRITICAL)
        self._topics = topics.all
        self._pairing = Pairing(topics)
        self._membership = Membership()
        self._backlog = Backlog()
        self._advice = CommitAdvice()
        self._influx = Influx(AWAITED_SHARE)
        self._reachability = Reachability(access.bootstrap)
        self._watch = TopicWatch(self._topics)
        self._client: KafkaNetClient
        load_kernel()
        assignor = LeadingAssignor(topics.leading)
        try:
            self._consumer = KafkaConsumer(
                **access.for_kafka_python(),
                group_id=member.group_id,
                group_instance_id=member.member_id or None,
                session_timeout_ms=member.session_seconds * 1000,
                kafka_client=self._keep_client,
                partition_assignment_strategy=[assignor],
                **CONSUMER_CONFIG,
            )
        except KafkaError as error:
            self._client.close()
            raise translated(
                error,
                "connecting; check FLAGPOST_KAFKA_BOOTSTRAP and FLAGPOST_KAFKA_SECURITY_PROTOCOL",
            ) from error
        self._consumer._fetcher.__class__ = BatchFetcher  # noqa: SLF001
        self._consumer._coordinator.__class__ = KnownCoordinator  # noqa: SLF001
        complete_assignments(self._consumer._coordinator, self._completed)  # noqa: SLF001
        self._consumer.subscribe(
            sorted(self._topics),
            listener=AssignmentListener(self._consumer, assignor, self._membership),
        )

    def poll(self, max_messages: int, timeout_seconds: float) -> Poll:
        """See `Source.poll`."""
        self._top_up(max_messages, timeout_seconds)
        assigned, lost = self._membership.changes()
        self._backlog.drop(lost)
        self._advice.forget(lost)
        self._send_commits(self._advice.take_due())
        chunks = self._take_chunks(max_messages)
        if assigned or self._watch.is_due():
            self._look_around()
        return Poll(chunks, assigned, lost)

    def seek(self, offsets: Mapping[Partition, int]) -> None:
        """See `Source.seek`."""
        for partition, offset in offsets.items():
            if self._membership.owns(partition):
                self._membership.seek(partition)
                self._backlog.drop([partition])
                self._consumer.seek(TopicPartition(*partition), offset)
                if self._membership.flows(partition):
                    self._consumer.resume(TopicPartition(*partition))

    def pause(self, partitions: Iterable[Partition]) -> None:
        """See `Source.pause`."""
        self._consumer.pause(*_native(self._membership.pause(partitions)))

    def resume(self, partitions: Iterable[Partition]) -> None:
        """See `Source.resume`."""
        self._consumer.resume(*_native(self._membership.resume(partitions)))

    def bounds(self, partitions: Iterable[Partition]) -> dict[Partition, tuple[int, int]]:
        """See `Source.bounds`."""
        asked = _native(partitions)
        try:
            first = self._consumer.beginning_offsets(asked, group.REQUEST_SECONDS * 1000)
            end = self._consumer.end_offsets(asked, group.REQUEST_SECONDS * 1000)
        except KafkaError as error:
            raise translated(error, "asking for offsets") from error
        except KeyError as error:  # the client looks for it in an answer that leaves it out
            raise Unavailable("Kafka does not tell the offsets of a partition") from error
        return {Partition(*native): (first[native], end[native]) for native in asked}

    def position(self, partition: Partition) -> int | None:
        """See `Source.position`."""
        if not self._membership.sought(partition):
            return None
        kept = self._backlog.first_offset(partition)
        if kept is not None:
            return kept
        position: int | None = self._consumer.position(TopicPartition(*partition), timeout_ms=0)
        return position

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        """See `Source.commit`."""
        self._advice.note(offsets)

    def partitions(self) -> set[Partition]:
        """See `Source.partitions`."""
        try:
            found = {topic: self._consumer.partitions_for_topic(topic) for topic in self._topics}
        except KafkaError as error:
            raise translated(error, "asking for partitions") from error
        for topic, numbers in found.items():
            if not numbers:
                raise missing(topic)
        return {Partition(topic, number) for topic, numbers in found.items() for number in numbers}

    def topic_ids(self) -> dict[str, str]:
        """See `Source.topic_ids`."""
        self.partitions()  # asks the brokers for what the client does not know
        ids = self._known_ids(self._topics)
        for topic in self._topics - ids.keys():
            raise Unavailable(f"Kafka does not tell the id of topic {topic!r}; brokers do from 2.8")
        return ids

    def close(self) -> None:
        """See `Source.close`."""
        try:
            self._advice.take_back_unanswered()
            if advice := self._advice.take_all():
                self._consumer.commit(_commits(advice), timeout_ms=group.LEAVE_SECONDS * 1000)
        except KafkaError:
            # The commit only informs; a lost membership or an absent broker does not matter now.
            pass
        finally:
            self._consumer.close(autocommit=False, timeout_ms=group.LEAVE_SECONDS * 1000)

    def _keep_client(self, **configs: object) -> KafkaNetClient:
        """Build the consumer's network client and keep it, to see what it knows of the cluster."""
        self._client = KafkaNetClient(**configs)
        return self._client

    def _top_up(self, max_messages: int, timeout_seconds: float) -> None:
        """Fetch unless the backlog is enough; wait for something, and for what comes with it."""
        deadline = time.monotonic() + timeout_seconds
        waiting = self._backlog.size(self._membership.flows)
        if waiting < max_messages:
            self._fetch(0 if waiting else min(timeout_seconds, group.POLL_SLICE_SECONDS))
        while not (self._backlog.size(self._membership.flows) or self._membership.changed):
            left = deadline - time.monotonic()
            if left <= 0:
                break
            self._fetch(min(left, group.POLL_SLICE_SECONDS))
        if timeout_seconds > 0:
            self._gather(min(self._influx.expected(), max_messages))

    def _gather(self, n_messages: int) -> None:
        """Wait for what belongs to messages that are there: as many as usually come."""
        deadline = time.monotonic() + group.GATHER_SECONDS
        while (
            0 < self._backlog.size(self._membership.flows) < n_messages
            and (left_seconds := deadline - time.monotonic()) > 0
        ):
            self._fetch(left_seconds)

    def _fetch(self, timeout_seconds: float) -> None:
        self._finish_join()
        try:
            fetched = self._consumer.poll(timeout_seconds * 1000, max_records=sys.maxsize)
        except KafkaError as error:
            if not is_passing(error):
                raise translated(error, "reading") from error
        else:
            for native, records in fetched.items():
                batches = [record.value for record in records]
                self._backlog.add(Partition(*native), batches)
                self._influx.note(sum(map(len, batches)))

    def _finish_join(self) -> None:
        """Go on with a join that an earlier poll has begun.

        The leader of a group joins anew when a topic changes. If that takes longer than one poll,
        the client takes the change for dealt with and never looks at the answer: the member has no
        partitions and sends no heartbeats from then on.
        """
        coordinator = self._consumer._coordinator  # noqa: SLF001 - there is no public way to say it
        if coordinator.state is MemberState.REBALANCING and not coordinator.need_rejoin():
            coordinator.request_rejoin()

    def _take_chunks(self, max_messages: int) -> list[Chunk]:
        taken = self._backlog.take(max_messages, self._membership.flows)
        return [KafkaPythonChunk.of(partition, batches) for partition, batches in taken.items()]

    def _send_commits(self, offsets: Mapping[Partition, int]) -> None:
        if not offsets:
            return
        try:
            self._consumer.commit_async(_commits(offsets), callback=self._note_answer)
        except FencedInstanceIdError as error:
            raise translated(error, "committing") from error

    def _note_answer(
        self, commits: Mapping[TopicPartition, OffsetAndMetadata], answer: object
    ) -> None:
        # Called inside the client's polls and commits.
        offsets = {Partition(*native): commit.offset for native, commit in commits.items()}
        is_refused = isinstance(answer, KafkaError) and is_passing(answer)
        owned = {partition for partition in offsets if self._membership.owns(partition)}
        self._advice.answered(offsets, owned if is_refused else ())

    def _look_around(self) -> None:
        """Are the brokers and the topics still there? Asks only what the client knows."""
        cluster = self._client.cluster
        if any(self._client.connected(broker.node_id) for broker in cluster.brokers()):
            self._reachability.seen()
            known = {topic for topic in self._topics if cluster.partitions_for_topic(topic)}
            if known != self._topics:
                # By itself the client would ask again in five minutes.
                cluster.request_update()
            self._watch.look(self._known_ids(known))
            self._check_followers()
        else:
            self._reachability.unseen()
        self._check_replaced()

    def _check_followers(self) -> None:
        """Join anew if, by what is known of the topics now, other partitions follow than before.

        What the group answers is completed then, and the client sees what is new and what is lost.
        """
        coordinator = self._consumer._coordinator  # noqa: SLF001 - there is no public way to ask it
        owned = {Partition(*native) for native in self._consumer.assignment()}
        if coordinator.state is MemberState.STABLE and owned != self._completed(owned):
            coordinator.request_rejoin()

    def _completed(self, given: Iterable[Partition]) -> set[Partition]:
        """Return what this member has by what the group has given it. Safe on any thread."""
        cluster = self._client.cluster
        found = {topic: cluster.partitions_for_topic(topic) for topic in self._topics}
        self._pairing.learn({topic: len(numbers) for topic, numbers in found.items() if numbers})
        return self._pairing.completed(given)

    def _check_replaced(self) -> None:
        """Notice that another process has joined under this member's id.

        The client hears of it in its next heartbeat, sends no more of them, and tells nobody.

        Raises:
            MemberReplaced: it has.
        """
        coordinator = self._consumer._coordinator  # noqa: SLF001 - there is no public way to ask
        is_silent = not coordinator._heartbeat_enabled  # noqa: SLF001
        is_member = coordinator.state is MemberState.STABLE and not coordinator.need_rejoin()
        if is_silent and is_member:
            raise translated(FencedInstanceIdError(), "sending heartbeats")

    def _known_ids(self, topics: Iterable[str]) -> dict[str, str]:
        """As Kafka writes them: the bytes of a UUID in base 64, for URLs, without padding.

        A topic of which the brokers have not told the id (yet) is left out.
        """
        ids = {topic: self._client.cluster.topic_id(topic) for topic in topics}
        return {
            topic: urlsafe_b64encode(topic_id.bytes).decode().rstrip("=")
            for topic, topic_id in ids.items()
            if topic_id is not None
        }


def _native(partitions: Iterable[Partition]) -> list[TopicPartition]:
    return [TopicPartition(*partition) for partition in partitions]


def _commits(offsets: Mapping[Partition, int]) -> dict[TopicPartition, OffsetAndMetadata]:
    return {
        TopicPartition(*partition): OffsetAndMetadata(offset, "", -1)
        for partition, offset in offsets.items()
    }
