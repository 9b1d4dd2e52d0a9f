"""Messages that cannot be scored, sent to their own topic with what is wrong with them."""

from collections.abc import Iterator
from functools import partial

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from flagpost.errors import Unavailable
from flagpost.events import BadMessage
from flagpost.kafka import group
from flagpost.kafka.access import KafkaAccess
from flagpost.kafka.confluent_errors import translated
from flagpost.kafka.source import Chunk, Headers, Record

DELIVERY_SECONDS = 10
"""How long the broker may take to acknowledge; after that the batch is repeated."""

_PRODUCER_CONFIG = {
    "enable.idempotence": True,
    "compression.type": "lz4",
    "linger.ms": 5,
    "delivery.timeout.ms": DELIVERY_SECONDS * 1000,
    "reconnect.backoff.max.ms": group.RECONNECT_SECONDS * 1000,
    "allow.auto.create.topics": False,
    "topic.metadata.propagation.max.ms": 5_000,
    # As Java and kafka-python place keys.
    "partitioner": "murmur2_random",
    # The broker decides what is too large, not the client.
    "message.max.bytes": 100_000_000,
    "log_level": 0,
}


class DeadLetters:
    """A producer for the dead letters, on librdkafka whichever client reads.

    kafka-python's producer refuses a header without a value and a message without key and value,
    and a dead letter has to be what the bad message was.
    """

    def __init__(self, access: KafkaAccess, topic: str, group_id: str) -> None:
        """Prepare; the broker is asked for nothing before the first dead letter."""
        self._config = _PRODUCER_CONFIG | access.for_librdkafka()
        self._topic = topic
        self._group_id = group_id
        self._producer: Producer | None = None
        self._failures: list[KafkaError] = []
        self._too_large: list[tuple[Record, Headers]] = []

    def send(self, chunk: Chunk, index: int, bad: BadMessage) -> None:
        """Queue message `index` of `chunk`; `flush` says whether it arrived.

        Raises:
            Unavailable: the queue is full, because the broker is away.
        """
        record = chunk.record(index)
        headers = [*record.headers, *self._reasons(chunk, index, bad)]
        self._produce(record, headers)

    def flush(self) -> None:
        """Wait until the broker has acknowledged everything sent since the last flush.

        Raises:
            Unavailable: it did not, in time. Send the batch again; the part that did arrive is then
                there twice, under the same topic, partition and offset.
            BadConfiguration: the broker refuses the credentials.
            TopicMissing: the dead-letter topic does not exist.
            MustStop: the topic refuses the message.
        """
        if self._producer is None:
            return
        left = self._producer.flush(DELIVERY_SECONDS + 1)
        if self._too_large:
            self._send_without_values()
            left = self._producer.flush(DELIVERY_SECONDS + 1)
        failures, self._failures = self._failures, []
        if failures:
            self._abandon()
            raise translated(failures[0], f"writing to {self._topic}")
        if left:
            self._abandon()
            raise Unavailable(f"{left} dead letters were not acknowledged by {self._topic}")

    def close(self) -> None:
        """Let go of what is queued; `flush` first."""
        self._abandon()

    def _produce(self, record: Record, headers: Headers) -> None:
        if self._producer is None:
            self._producer = Producer(self._config)
        try:
            self._producer.produce(
                self._topic,
                key=record.key,
                value=record.value,
                headers=[*headers],
                timestamp=record.timestamp_ms or 0,
                on_delivery=partial(self._delivered, record, headers),
            )
            self._producer.poll(0)
        except BufferError as error:
            raise Unavailable(f"{self._topic} takes no dead letters: the queue is full") from error
        except KafkaException as error:
            raise translated(error.args[0], f"writing to {self._topic}") from error

    def _delivered(
        self, record: Record, headers: Headers, error: KafkaError | None, _: Message
    ) -> None:
        if error is None:
            return
        if error.name() == "MSG_SIZE_TOO_LARGE" and record.value is not None:
            self._too_large.append((record, headers))  # a callback must not call the producer
        else:
            self._failures.append(error)

    def _send_without_values(self) -> None:
        """The headers made these too large for the topic; their values stay at the source."""
        too_large, self._too_large = self._too_large, []
        for record, headers in too_large:
            size_bytes = str(len(record.value or b"")).encode()
            note = ("flagpost.value.omitted.bytes", size_bytes)
            self._produce(record._replace(value=None), [*headers, note])

    def _reasons(self, chunk: Chunk, index: int, bad: BadMessage) -> Iterator[tuple[str, bytes]]:
        """The headers of Kafka Connect's dead letters, and two of our own to count by."""
        texts = {
            "__connect.errors.topic": chunk.partition.topic,
            "__connect.errors.partition": str(chunk.partition.number),
            "__connect.errors.offset": str(chunk.offset(index)),
            "__connect.errors.connector.name": self._group_id,
            "__connect.errors.task.id": "0",
            "__connect.errors.stage": "VALUE_CONVERTER",
            "__connect.errors.class.name": "flagpost.core.decoding.MessageDecoder",
            "__connect.errors.exception.class.name": "flagpost.bad_messages.BadMessage",
            "__connect.errors.exception.message": bad.detail,
            "flagpost.reason": bad.reason,
            "flagpost.field": bad.field or "",
        }
        return ((name, text.encode(errors="replace")) for name, text in texts.items())

    def _abandon(self) -> None:
        """Drop the producer: what it still holds must not arrive later than its repetition."""
        if self._producer is not None:
            self._producer.purge()
            self._producer.flush(0)
            self._producer = None
        self._failures.clear()
        self._too_large.clear()
