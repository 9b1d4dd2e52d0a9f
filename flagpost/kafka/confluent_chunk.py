"""What a poll of librdkafka brings of a partition."""

from dataclasses import dataclass
from typing import Self, cast

from confluent_kafka import Message

from flagpost.events import Partition
from flagpost.kafka.source import Headers, Record

_NO_TIMESTAMP = 0


@dataclass(frozen=True, slots=True)
class ConfluentChunk:
    """The messages of one partition as the client returns them."""

    partition: Partition
    messages: list[Message]
    values: list[bytes | None]

    @classmethod
    def of(cls, partition: Partition, messages: list[Message]) -> Self:
        """Take messages that are none of an error."""
        return cls(partition, messages, list(map(Message.value, messages)))

    @property
    def next_offset(self) -> int:
        """The last message's offset + 1."""
        return _offset(self.messages[-1]) + 1

    def offset(self, index: int) -> int:
        """The offset of message `index`."""
        return _offset(self.messages[index])

    def record(self, index: int) -> Record:
        """Message `index` with everything it carries."""
        message = self.messages[index]
        kind, timestamp_ms = message.timestamp()
        return Record(
            key=message.key(),
            value=message.value(),
            headers=cast("Headers", list(message.headers() or [])),
            timestamp_ms=None if kind == _NO_TIMESTAMP else timestamp_ms,
        )


def _offset(message: Message) -> int:
    return cast("int", message.offset())  # None only on an error
