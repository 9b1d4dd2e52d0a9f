"""Sending messages to a topic again, with their keys and headers."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from flagpost.dead_letters.letter import Headers, LetterId
from flagpost.errors import FlagpostError, Unavailable
from flagpost.kafka import group
from flagpost.kafka.access import KafkaAccess
from flagpost.kafka.confluent_errors import translated

DELIVERY_SECONDS = 10
"""How long the broker may take to acknowledge."""

PARTITION_UA = -1
"""librdkafka's "unassigned": the partitioner decides."""

_PRODUCER_CONFIG = {
    "enable.idempotence": True,
    "compression.type": "lz4",
    "delivery.timeout.ms": DELIVERY_SECONDS * 1000,
    "reconnect.backoff.max.ms": group.RECONNECT_SECONDS * 1000,
    "allow.auto.create.topics": False,
    # As Java and kafka-python place keys: a customer stays in its partition.
    "partitioner": "murmur2_random",
    "message.max.bytes": 100_000_000,
    "log_level": 0,
}


class Outgoing(NamedTuple):
    """A message to be sent to the topic of its dead letter: to that partition, or by its key."""

    id: LetterId
    partition: int | None
    key: bytes | None
    value: bytes | None
    headers: Headers


class Resender:
    """A producer that tells of each message whether it arrived."""

    def __init__(self, access: KafkaAccess) -> None:
        self._producer = Producer({**_PRODUCER_CONFIG, **access.for_librdkafka()})
        self._arrived: list[LetterId] = []
        self._failure: FlagpostError | None = None

    def send(self, messages: Sequence[Outgoing]) -> tuple[list[LetterId], FlagpostError | None]:
        """Send some hundred messages and wait for their acknowledgements. Blocks.

        Returns:
            Those that arrived, and the first failure if any did not.
        """
        self._arrived, self._failure = [], None
        try:
            for message in messages:
                self._produce(message)
        except (KafkaException, BufferError) as error:
            self._failure = Unavailable(f"Kafka takes no messages: {error}")
        if self._producer.flush(DELIVERY_SECONDS + 1):
            self._producer.purge()
            self._producer.flush()
        return self._arrived, self._failure

    def _produce(self, message: Outgoing) -> None:
        self._producer.produce(
            message.id.topic,
            partition=PARTITION_UA if message.partition is None else message.partition,
            key=message.key,
            value=message.value,
            headers=[*message.headers],
            on_delivery=partial(self._note, message.id),
        )

    def _note(self, letter: LetterId, error: KafkaError | None, _: Message) -> None:
        if error is None:
            self._arrived.append(letter)
        elif self._failure is None:
            self._failure = translated(error, f"sending {letter} again")
