"""A publisher on confluent-kafka (librdkafka)."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from confluent_kafka import KafkaError, Message, Producer

from flagpost.errors import Undelivered
from flagpost.kafka import group
from flagpost.kafka.access import KafkaAccess
from flagpost.kafka.publisher import DELIVERY_SECONDS, MAX_UNACKNOWLEDGED, Receipt

_WAIT_SECONDS = 0.02
_PRODUCER_CONFIG = {
    "enable.idempotence": True,
    "acks": "all",
    "compression.type": "lz4",
    "linger.ms": 5,
    "batch.size": 1_000_000,
    # As Java and kafka-python place keys; the default is another hash.
    "partitioner": "murmur2_random",
    "delivery.timeout.ms": DELIVERY_SECONDS * 1000,
    "reconnect.backoff.max.ms": group.RECONNECT_SECONDS * 1000,
    "allow.auto.create.topics": False,
    # The queue never fills: a batch that fits only in part would arrive out of order.
    "queue.buffering.max.messages": 10 * MAX_UNACKNOWLEDGED,
    "queue.buffering.max.kbytes": 2_097_151,
    "message.max.bytes": 10_000_000,
    # The client reports failures alone. Every message is either reported or acknowledged.
    "delivery.report.only.error": True,
    "log_level": 0,
}


class ConfluentPublisher:
    """Implements `Publisher`; see there."""

    def __init__(self, access: KafkaAccess) -> None:
        self._receipt = Receipt()
        self._failed: Counter[str] = Counter()
        self._broken = False
        self._producer = Producer(
            {
                **_PRODUCER_CONFIG,
                **access.for_librdkafka(),
                "on_delivery": self._note_undelivered,
            }
        )

    def publish(self, topic: str, keys: Sequence[bytes | None], values: Sequence[bytes]) -> None:
        """See `Publisher.publish`."""
        self._producer.poll(0)
        while len(self._producer) > MAX_UNACKNOWLEDGED:
            self._producer.poll(_WAIT_SECONDS)
        if self._broken:
            raise Undelivered(f"the broker does not acknowledge: {self._receipt.first_failure}")
        messages: list[dict[str, Any]] = [
            {"key": key, "value": value} for key, value in zip(keys, values, strict=True)
        ]
        queued = self._producer.produce_batch(topic, messages)
        self._receipt.sent[topic] += len(messages)
        if queued < len(messages):
            for error in (message["_error"] for message in messages if "_error" in message):
                self._note_failure(topic, error)

    def settle(self) -> None:
        """See `Publisher.settle`."""
        self._producer.flush(DELIVERY_SECONDS + 1)

    def finish(self) -> Receipt:
        """See `Publisher.finish`."""
        if self._producer.flush(DELIVERY_SECONDS + 1):
            self._producer.purge()
            self._producer.flush()
        self._receipt.acknowledged = self._receipt.sent - self._failed
        return self._receipt

    def _note_undelivered(self, error: KafkaError, message: Message) -> None:
        self._note_failure(message.topic() or "", error)

    def _note_failure(self, topic: str, error: KafkaError) -> None:
        self._failed[topic] += 1
        self._receipt.first_failure = self._receipt.first_failure or error.str()
        # One message too large is its own fault; any other failure will meet the next ones too.
        self._broken |= error.name() != "MSG_SIZE_TOO_LARGE"
