"""Where the effects of a batch are kept: what the worker asks of it, whatever is behind."""

from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import datetime
from typing import NamedTuple, Protocol

from flagpost.core.effects import Counts, Effects, Position, Segment
from flagpost.events import Partition


class Clock(NamedTuple):
    """How far a partition is: `reached_us` is the event time that it has processed or waits at."""

    next_offset: int
    reached_us: int | None


class Store(Protocol):
    """The positions, the journal and the decisions of one consumer group.

    Every method blocks until it is done, and may raise:
        Unavailable: the server does not answer or has rolled back; the same call may succeed later.
        SchemaOutdated: tables or columns are missing.
        BadConfiguration: the server refuses access.
    """

    def rehearse(self) -> None:
        """Do on nothing what a commit does, so that the first one does not take long."""
        ...

    def acquire(self, first_offsets: Mapping[Partition, int]) -> dict[Partition, Position]:
        """Take partitions over: from now on only commits with the returned epochs pass.

        Waits for a commit of the former owner that is under way, and returns the positions after
        it. A partition that the group has never read starts at the given offset.
        """
        ...

    def identify(self, topic_ids: Mapping[Partition, str]) -> dict[Partition, str]:
        """Note of which topic acquired positions are, unless it is known; return what is known.

        The ids are Kafka's: a topic that is made again under the same name has another.
        """
        ...

    def load_segments(
        self, partitions: Collection[Partition], since_event_time_us: Mapping[Partition, int]
    ) -> Iterator[Segment]:
        """Stream the journal, each partition in offset order.

        A partition is read from the first segment that reaches its time (microseconds since 1970):
        from the offset where the stream came to that time. Without a time it is read from its
        beginning.
        """
        ...

    def recall_segments(
        self, partition: Partition, first_us: int, last_us: int
    ) -> Iterator[Segment]:
        """Stream the segments of a partition with event times between two, both included."""
        ...

    def segments_from(self, offsets: Mapping[Partition, int]) -> Iterator[Segment]:
        """Stream the segments of some partitions that reach beyond an offset, in order.

        The first one of a partition may begin before the offset, where segments were merged.
        """
        ...

    def clocks(self, topics: Collection[str]) -> dict[Partition, Clock]:
        """Return how far the group is in each partition of the topics that it ever acquired."""
        ...

    def announce(
        self, waiting_us: Mapping[Partition, int], epochs: Mapping[Partition, int]
    ) -> None:
        """Tell the other members at which event time these partitions of ours wait.

        Partitions that were taken over meanwhile are left out.
        """
        ...

    def commit(self, effects: Effects) -> Counts:
        """Make all effects of a batch visible at once, or none of them.

        A flagged transaction whose id is taken is left out: the first decision on an id stands.
        A label that is stored already, whichever group or member stored it, is left out and counts
        as a duplicate, not as clean. A kept score whose id and time are taken is left out too.

        Returns:
            What became of all messages of the batch.

        Raises:
            Fenced: a partition was taken over or has moved on; nothing was written.
            Unavailable: the outcome is unknown, for the answer may be what was lost. Never commit
                the same effects again: acquire the partitions, and go on from their positions.
        """
        ...

    def begin_commit(self, effects: Effects) -> Callable[[], Counts]:
        """Begin to commit a batch, and return while the server may be at it.

        What is returned is to be called once, before anything else is committed: it waits, and
        then returns and raises as `commit` does. This call may wait and raise like that, too.
        """
        ...

    def positions(self, topic: str) -> dict[Partition, Position]:
        """Return how far the group is in each partition of a topic that it has ever acquired."""
        ...

    def totals(self, topic: str) -> dict[Partition, Counts]:
        """Return what became of all messages so far, for each partition of a topic."""
        ...

    def forget_segments(self, reached: Mapping[Partition, Position], kept_us: int) -> int:
        """Delete the segments before the first one of the last `kept_us` of event time.

        So are checkpoints that need them. Left alone are partitions that have been rewound since
        they reached these positions, and those that were taken over before this call.

        Returns:
            How many segments were deleted.
        """
        ...

    def merge_segments(self, partition: Partition, start_offset: int, end_offset: int) -> int:
        """Merge the segments of a partition that begin within [start_offset, end_offset).

        Each becomes a part of one segment, as if it had been packed at once, but for what lies on
        both sides of a checkpoint. Readers see all of them or the merged ones.

        Returns:
            How many segments fewer there are.

        Raises:
            Unavailable: also if somebody else changed them meanwhile; then they are left alone.
        """
        ...

    def note_error(self, error: str, at: datetime) -> None:
        """Note, for operators, what this member waits for or ends by, and since when.

        It stands with the partitions that nobody else has taken over since.
        """
        ...
