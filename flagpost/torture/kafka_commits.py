"""Every offset that a group has committed to Kafka, from the log in which the broker keeps them.

What a group has committed last is all that Kafka tells; its log has what it committed before, too,
as long as it is not compacted: the segment that is being written, 100 MB by default, never is.
"""

import struct
from contextlib import closing
from dataclasses import dataclass

from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition

from flagpost.events import Partition
from flagpost.kafka.confluent_errors import translated

_TOPIC = "__consumer_offsets"
_LATEST_KEY_OF_A_COMMIT = 1
"""Keys of later versions are of members and groups."""
_TIMEOUT_SECONDS = 30
_AT_ONCE = 100_000


@dataclass(frozen=True, slots=True)
class KafkaCommit:
    """Kafka was told, at this millisecond since 1970, that all before an offset is done with."""

    partition: Partition
    offset: int
    at_ms: int


def read_commits(bootstrap: str, group: str) -> list[KafkaCommit]:
    """Return all commits of a group, those of a partition in their order; blocks."""
    commits = [
        commit_of(message.key(), message.value(), message.timestamp()[1], group)
        for message in _read_log(bootstrap)
    ]
    return [commit for commit in commits if commit]


def commit_of(key: bytes | None, value: bytes | None, at_ms: int, group: str) -> KafkaCommit | None:
    """Read a record of the log; None if it is no commit of this group.

    Source: OffsetCommitKey.json and OffsetCommitValue.json of Apache Kafka; all versions of the
    value begin with the offset.
    """
    if key is None or value is None:
        return None
    version, rest = struct.unpack_from(">h", key)[0], key[2:]
    if version > _LATEST_KEY_OF_A_COMMIT:
        return None
    owner, rest = _text(rest)
    topic, rest = _text(rest)
    if owner != group:
        return None
    return KafkaCommit(
        Partition(topic, struct.unpack(">i", rest)[0]), struct.unpack_from(">hq", value)[1], at_ms
    )


def _text(content: bytes) -> tuple[str, bytes]:
    """Split off a text, which its length comes before."""
    end = 2 + int(struct.unpack_from(">h", content)[0])
    return content[2:end].decode(), content[end:]


def _read_log(bootstrap: str) -> list[Message]:
    """Read the log up to where it ends now."""
    config = {
        "bootstrap.servers": bootstrap,
        "group.id": "unused",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
    }
    found = list[Message]()
    with closing(Consumer(config)) as consumer:
        partitions = consumer.list_topics(_TOPIC, _TIMEOUT_SECONDS).topics[_TOPIC].partitions
        consumer.assign([TopicPartition(_TOPIC, each, OFFSET_BEGINNING) for each in partitions])
        unread = set(partitions)
        while unread:
            for message in consumer.consume(_AT_ONCE, 1.0):
                error = message.error()
                if error is None:
                    found.append(message)
                elif error.name() == "_PARTITION_EOF":
                    unread.discard(message.partition() or 0)
                else:
                    raise translated(error, "reading the commits of offsets back")
    return found
