"""What a member holds: for each partition its position, its epoch and the state behind it."""

from collections.abc import Iterable

import structlog

from flagpost.core.calendar import DAY_US
from flagpost.core.effects import Advance, Effects, Position
from flagpost.core.features import RETENTION_US
from flagpost.core.state import State
from flagpost.core.store import Store
from flagpost.errors import OffsetLost
from flagpost.event_order import EventOrder
from flagpost.events import Partition
from flagpost.kafka.source import Source
from flagpost.merging import Merging
from flagpost.peers import Peers

JOURNAL_RETENTION_US = 400 * DAY_US
"""For so long at least a transaction that is sent again is known to have been decided."""

SHORTENING_US = 10 * DAY_US
"""How far event time goes until the journal is shortened again."""

log = structlog.get_logger()


class Ownership:
    """The partitions of one member; those `wanted` are assigned to it but not taken over yet.

    `positions` says from where to score on, with the commits under way taken for done.
    """

    def __init__(
        self,
        source: Source,
        store: Store,
        state: State,
        order: EventOrder,
        peers: Peers,
        merging: Merging,
    ) -> None:
        self._source = source
        self._store = store
        self._state = state
        self._order = order
        self._peers = peers
        self._merging = merging
        self.positions: dict[Partition, Position] = {}
        self._committed: dict[Partition, Position] = {}
        self._ten_days = self._shortened_in = -1  # which ones event time has come to, from 1970
        self.wanted: set[Partition] = set()

    def let_go(self, partitions: Iterable[Partition]) -> None:
        """The group gave these partitions to somebody else."""
        for partition in partitions:
            self._drop(partition)
            self.wanted.discard(partition)

    def want(self, partitions: Iterable[Partition]) -> None:
        """Take these partitions over (again) before anything else of them is processed."""
        for partition in partitions:
            self._drop(partition)
            self.wanted.add(partition)

    def take_again(self, partitions: Iterable[Partition]) -> None:
        """Something failed that is to be done again, from where these partitions really are."""
        self.want(set(partitions) & self.positions.keys())
        self._peers.hear_again()

    def _drop(self, partition: Partition) -> None:
        if self.positions.pop(partition, None) is not None:
            self._order.drop(partition)
            self._state.forget(partition)
            self._merging.forget(partition)
            self._peers.part(partition, self._committed.pop(partition))

    def take_over(self) -> None:
        """Make every wanted partition ours: a new epoch, its position, its state, a seek. Blocks.

        Raises:
            OffsetLost: a position lies outside what the topic holds, or is of a former topic.
            TopicMissing: a topic does not exist any more.
            Unavailable: nothing has changed but epochs; try again.
        """
        wanted = frozenset(self.wanted)
        bounds = self._source.bounds(wanted)
        positions = self._store.acquire({p: first for p, (first, _) in bounds.items()})
        self._check_topics(positions.keys())
        for partition, position in positions.items():
            _check_within(partition, position, *bounds[partition])
        self._load_state(positions)
        self._source.seek({p: position.next_offset for p, position in positions.items()})
        self.positions.update(positions)
        self._committed.update(positions)
        self._peers.meet(self.positions)
        self.wanted -= wanted
        log.info("taken over", partitions=_named({p: x.epoch for p, x in positions.items()}))

    def _check_topics(self, partitions: Iterable[Partition]) -> None:
        """Make sure that positions are of the topics that are there now."""
        ids = self._source.topic_ids()
        now = {partition: ids[partition.topic] for partition in partitions}
        for partition, topic_id in self._store.identify(now).items():
            if topic_id != now[partition]:
                raise OffsetLost(
                    f"{partition.topic}[{partition.number}]: the topic was deleted and created "
                    f"again since this group read it (its id was {topic_id}, now it is "
                    f"{now[partition]}), so the stored position is of other messages. To read the "
                    "new topic from its beginning, use another FLAGPOST_GROUP"
                )

    def _load_state(self, positions: dict[Partition, Position]) -> None:
        for partition in positions:
            self._state.forget(partition)  # a load that failed half way may have left something
            self._merging.forget(partition)
        since = {
            partition: position.event_time_us - RETENTION_US
            for partition, position in positions.items()
            if position.event_time_us is not None
        }
        for segment in self._store.load_segments(positions.keys(), since):
            self._state.fold(segment)
            self._merging.note(segment)

    def reached_us(self, partition: Partition) -> int | None:
        """Return the event time up to which one of our partitions was read."""
        return self._order.reached_us(partition, self.positions[partition])

    def move(self, advances: Iterable[Advance]) -> None:
        """Go on behind a commit that is under way."""
        self.positions.update({step.partition: step.position for step in advances})

    def settle(self, effects: Effects) -> None:
        """Note what was committed of the partitions that are still ours.

        Once per event day, what no window reaches any more is forgotten. Not before the commit: if
        that fails, windows go back.
        """
        for segment in effects.segments:
            if segment.partition in self._committed:
                self._merging.note(segment)
        for step in effects.advances:
            before = self._committed.get(step.partition)
            if before is None:
                continue
            self._committed[step.partition] = step.position
            if step.event_time_us is None:
                continue
            if _has_passed(DAY_US, before.event_time_us, step.event_time_us):
                self._state.forget_idle(step.partition, step.event_time_us)
            if _has_passed(SHORTENING_US, before.event_time_us, step.event_time_us):
                self._ten_days = max(self._ten_days, step.event_time_us // SHORTENING_US)

    def shorten_journal(self) -> None:
        """Drop what is too old, once in ten event days, of all our partitions. Blocks then.

        Raises:
            Unavailable: the same call may succeed later.
        """
        if self._ten_days > self._shortened_in:
            self._store.forget_segments(self._committed, JOURNAL_RETENTION_US)
            self._shortened_in = self._ten_days


def _has_passed(span_us: int, before_us: int | None, now_us: int) -> bool:
    """Say whether event time came to another span, counted from 1970; it never goes back."""
    return before_us is None or now_us // span_us > before_us // span_us


def _named(numbers: dict[Partition, int]) -> dict[str, int]:
    return {f"{p.topic}[{p.number}]": number for p, number in sorted(numbers.items())}


def _check_within(partition: Partition, position: Position, first: int, end: int) -> None:
    if first <= position.next_offset <= end:
        return
    msg = (
        f"{partition.topic}[{partition.number}]: the next message to score is offset "
        f"{position.next_offset}, but the topic holds {first} to {end - 1}. Was the topic made "
        "again, or did its retention pass messages that were never scored? To begin anew, use "
        "another FLAGPOST_GROUP"
    )
    raise OffsetLost(msg)
