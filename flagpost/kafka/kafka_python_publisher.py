"""A publisher on kafka-python."""

import logging
import time
from collections.abc import Callable, Sequence
from functools import partial

from kafka import KafkaProducer
from kafka.errors import KafkaError, MessageSizeTooLargeError

from flagpost.errors import Undelivered
from flagpost.kafka import group
from flagpost.kafka.access import KafkaAccess
from flagpost.kafka.kafka_python_errors import translated
from flagpost.kafka.publisher import DELIVERY_SECONDS, MAX_UNACKNOWLEDGED, Receipt

_WAIT_SECONDS = 0.005
_PRODUCER_CONFIG = {
    "enable_idempotence": True,
    "acks": "all",
    "compression_type": "lz4",
    "linger_ms": 5,
    "batch_size": 256 << 10,
    "delivery_timeout_ms": DELIVERY_SECONDS * 1000,
    "request_timeout_ms": DELIVERY_SECONDS * 500,
    "bootstrap_timeout_ms": group.REQUEST_SECONDS * 1000,
    "reconnect_backoff_max_ms": group.RECONNECT_SECONDS * 1000,
    "allow_auto_create_topics": False,
    # Larger messages are refused here: after one that the broker refuses, the client's sequence
    # numbers no longer fit and the messages behind it fail too.
    "max_request_size": 1_000_000,
    "metrics_enabled": False,
}


class KafkaPythonPublisher:
    """Implements `Publisher`; see there."""

    def __init__(self, access: KafkaAccess) -> None:
        """Connect.

        Raises:
            Unavailable: no broker answers.
            BadConfiguration: the broker or the client refuses the settings.
        """
        # What the client logs again and again, the receipt says once.
        logging.getLogger("kafka").setLevel(logging.CRITICAL)
        self._receipt = Receipt()
        self._settled = 0
        self._broken = False
        try:
            self._producer = KafkaProducer(**access.for_kafka_python(), **_PRODUCER_CONFIG)
        except KafkaError as error:
            raise translated(
                error,
                "connecting; check FLAGPOST_KAFKA_BOOTSTRAP and FLAGPOST_KAFKA_SECURITY_PROTOCOL",
            ) from error

    def publish(self, topic: str, keys: Sequence[bytes | None], values: Sequence[bytes]) -> None:
        """See `Publisher.publish`."""
        while self._receipt.sent.total() - self._settled > MAX_UNACKNOWLEDGED:
            time.sleep(_WAIT_SECONDS)
        if self._broken:
            raise Undelivered(f"the broker does not acknowledge: {self._receipt.first_failure}")
        acknowledge = partial(self._note_acknowledged, topic)
        for key, value in zip(keys, values, strict=True):
            self._send(topic, key, value, acknowledge)
        self._receipt.sent[topic] += len(values)

    def settle(self) -> None:
        """See `Publisher.settle`."""
        try:
            self._producer.flush(timeout=DELIVERY_SECONDS + 1)
        except KafkaError as error:
            self._note_failure(error)

    def finish(self) -> Receipt:
        """See `Publisher.finish`."""
        try:
            self._producer.close(timeout=DELIVERY_SECONDS + 1)
        except KafkaError as error:
            self._note_failure(error)
        return self._receipt

    def _send(
        self, topic: str, key: bytes | None, value: bytes, acknowledge: Callable[[object], None]
    ) -> None:
        try:
            future = self._producer.send(topic, key=key, value=value)
        except KafkaError as error:
            self._note_failure(error)
        else:
            future.add_callback(acknowledge)
            future.add_errback(self._note_failure)

    # The client calls these two on its own thread.

    def _note_acknowledged(self, topic: str, _: object) -> None:
        self._receipt.acknowledged[topic] += 1
        self._settled += 1

    def _note_failure(self, error: Exception) -> None:
        self._settled += 1
        self._receipt.first_failure = self._receipt.first_failure or str(error)
        # One message too large is its own fault; any other failure will meet the next ones too.
        self._broken |= not isinstance(error, MessageSizeTooLargeError)
