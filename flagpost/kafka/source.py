"""What the worker needs of a Kafka client; there is one for each of two clients."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol

from flagpost.events import Partition

Headers = list[tuple[str, bytes | None]]


class Record(NamedTuple):
    """One message whole, as a dead letter has to keep it.

    `timestamp_ms` is milliseconds since 1970, or None when the message carries no time.
    """

    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp_ms: int | None


class Chunk(Protocol):
    """Consecutive messages of one partition, in offset order; never empty.

    Offsets rise but may have gaps, which compaction and transaction markers leave.
    """

    @property
    def partition(self) -> Partition:
        """Where the messages come from."""

    @property
    def values(self) -> list[bytes | None]:
        """The message bodies; None is a tombstone."""

    @property
    def next_offset(self) -> int:
        """The last message's offset + 1."""

    def offset(self, index: int) -> int:
        """The offset of message `index`."""

    def record(self, index: int) -> Record:
        """Message `index` with everything it carries."""


class Poll(NamedTuple):
    """The outcome of one poll. Apply `lost` before `assigned`: a partition may be in both.

    `chunks` has at most one chunk for a partition and none of a partition in `lost`.
    """

    chunks: list[Chunk]
    assigned: frozenset[Partition]
    lost: frozenset[Partition]


class Source(Protocol):
    """One member of a consumer group, used from a single thread.

    The group shares out the partitions of one topic, evenly. A member has, with each of them, the
    partitions of other topics that follow it (`pairing.py`): all of them are reported and behave
    alike. Partitions that are added are found within `group.METADATA_SECONDS`; until every member
    knows of them, one that follows may be nobody's, or two members' at once.

    A partition is reported in `Poll.assigned` once, when this member gets it, and delivers nothing
    until `seek` has said from where. After a `seek` nothing below the sought offset is delivered
    and nothing from it on is left out. While the brokers are away polls are empty; they go on by
    themselves. Polling keeps the membership, also while everything is paused.
    """

    def poll(self, max_messages: int, timeout_seconds: float) -> Poll:
        """Wait up to `timeout_seconds` for messages; return within a moment when there are any.

        A poll that may wait does so some milliseconds longer for as many as usually come together.

        Raises:
            OffsetLost: the next offset of a partition is outside what the topic holds.
            TopicMissing: a topic of the group does not exist.
            BadConfiguration: the broker refuses this member's credentials, group or settings.
            MustStop: a record fails its checksum.
        """

    def seek(self, offsets: Mapping[Partition, int]) -> None:
        """Deliver these partitions from these offsets on; partitions since lost are left out."""

    def pause(self, partitions: Iterable[Partition]) -> None:
        """Deliver nothing of these partitions until `resume`."""

    def resume(self, partitions: Iterable[Partition]) -> None:
        """Undo `pause`; a partition that waits for its `seek` goes on waiting."""

    def bounds(self, partitions: Iterable[Partition]) -> dict[Partition, tuple[int, int]]:
        """Ask the broker for the first offset still held and the offset after the last.

        Blocks for a round trip.

        Raises:
            Unavailable: no answer in time.
        """

    def position(self, partition: Partition) -> int | None:
        """The offset this member reads next, past any transaction markers; None before a seek."""

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Tell Kafka's lag tools how far the work is; nothing here depends on it.

        Never blocks or raises; the newest offsets are sent about once a second and on `close`.
        """

    def partitions(self) -> set[Partition]:
        """Every partition of the group's topics, whoever owns it. Blocks for a round trip.

        Raises:
            Unavailable: no answer in time.
            TopicMissing: a topic of the group does not exist.
        """

    def topic_ids(self) -> dict[str, str]:
        """The id of each of the group's topics, as Kafka's tools show it.

        One that is made again under the same name has another. May block for a round trip.

        Raises:
            Unavailable: no answer in time.
            TopicMissing: a topic of the group does not exist.
        """

    def close(self) -> None:
        """Leave the group, so that the others take over at once. Blocks for seconds at most."""
