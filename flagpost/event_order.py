"""Which of the messages that were read may be processed now."""

import time
from collections.abc import Collection, Mapping

from flagpost.core.alignment import Alignment, earliest
from flagpost.core.effects import Position
from flagpost.core.piece import Piece
from flagpost.events import Partition
from flagpost.idleness import IDLE_SECONDS, Idleness, is_real_time
from flagpost.kafka.source import Chunk, Source
from flagpost.peers import Peers

MOST_HELD_MESSAGES = 16_000
"""Of a partition; beyond this its reading pauses.

librdkafka forgets then what it had fetched of it, and fetches that again: half as many took a sixth
longer for a replay.
"""

FRESH_SECONDS = IDLE_SECONDS / 4
"""In real time the end of a partition is not asked for more often than this.

What comes there next happens now, so nothing that waits here could have been too early. While the
past is replayed it is asked for after all that was read, for what comes next may be older.
"""


class EventOrder:
    """Keeps the partitions of a member, and the members of a group, near each other in event time.

    While all are near, as they are in real time, everything passes at once and neither server is
    asked. A partition that is empty or quiet for half a day is asked for now and then.
    """

    def __init__(self, source: Source, peers: Peers, at_once: int) -> None:
        """Release about `at_once` messages together, or a single larger poll of a partition."""
        self._source = source
        self._peers = peers
        self._at_once = at_once
        self._alignment: Alignment[Chunk] = Alignment()
        self._idleness = Idleness()
        self._paused: set[Partition] = set()
        self._ends: dict[Partition, int] = {}
        self._asked: dict[Partition, float] = {}  # since when their ends are known

    @property
    def is_empty(self) -> bool:
        """Say whether nothing is held back."""
        return self._alignment.is_empty

    @property
    def n_held(self) -> int:
        """Count the messages that are held."""
        return self._alignment.n_held

    def drop(self, partition: Partition) -> None:
        """Forget what is held of a partition that is going to be read again, by somebody."""
        self._alignment.drop(partition)
        self._source.resume(self._paused & {partition})
        self._paused.discard(partition)

    def reached_us(self, partition: Partition, position: Position) -> int | None:
        """Return the stream time up to which a partition was read."""
        return self._alignment.arrived_us(partition, position.event_time_us)

    def hold(self, pieces: Collection[Piece[Chunk]]) -> None:
        """Take in what was read."""
        for piece in pieces:
            self._alignment.hold(piece)
        if pieces:
            latest_us = self._alignment.latest_us
            is_now = latest_us is not None and is_real_time(latest_us)
            stale = time.monotonic() - (FRESH_SECONDS if is_now else 0)
            self._asked = {p: asked for p, asked in self._asked.items() if asked > stale}

    def release(self, own: Mapping[Partition, Position]) -> list[Piece[Chunk]]:
        """Give out what may be processed now, at most one piece of each partition.

        May ask both servers, and blocks then.

        Raises:
            Unavailable: the same call may succeed later.
        """
        if self._alignment.is_empty:
            return []
        limits = [self._slowest_of_ours(own), self._slowest_of_others()]
        known = [us for us in limits if us is not None]
        ready = self._alignment.release(min(known) if known else None, self._at_once)
        self._pace(own)
        return ready

    def announce(self, own: Mapping[Partition, Position]) -> None:
        """Tell the other members where our partitions wait. May block.

        Raises:
            Unavailable: the same call may succeed later.
        """
        if not self._alignment.is_empty:
            self._peers.announce(self._alignment.waiting_at(), own)

    def _slowest_of_ours(self, own: Mapping[Partition, Position]) -> int | None:
        latest_us = self._alignment.latest_us
        laggards = self._alignment.laggards([(p, x.event_time_us) for p, x in own.items()])
        if latest_us is None or not laggards:
            return None
        read = {partition: self._source.position(partition) or 0 for partition in laggards}
        self._ask_ends(
            {p for p in laggards - self._asked.keys() if read[p] >= self._ends.get(p, 0)}
        )
        active = [p for p in laggards if not self._is_idle(p, read[p], latest_us)]
        return earliest([self.reached_us(p, own[p]) for p in active])

    def _ask_ends(self, partitions: set[Partition]) -> None:
        """Ask where partitions end. An end only moves on: those that have more are not asked."""
        if partitions:
            bounds = self._source.bounds(partitions)
            self._ends.update({partition: end for partition, (_, end) in bounds.items()})
            self._asked |= dict.fromkeys(partitions, time.monotonic())

    def _is_idle(self, partition: Partition, read_up_to: int, latest_us: int) -> bool:
        end = self._ends[partition]
        return read_up_to >= end and self._idleness.is_idle(partition, end, latest_us)

    def _slowest_of_others(self) -> int | None:
        waiting_us = self._alignment.waiting_at().values()
        latest_us = self._alignment.latest_us
        if latest_us is None:
            return None
        return self._peers.limit_us(min(waiting_us), latest_us)

    def _pace(self, own: Collection[Partition]) -> None:
        """Pause the reading of partitions of which too much is held, resume it later."""
        full = {p for p in own if self._alignment.n_held_of(p) > MOST_HELD_MESSAGES}
        roomy = {p for p in self._paused if 2 * self._alignment.n_held_of(p) < MOST_HELD_MESSAGES}
        self._source.pause(full - self._paused)
        self._source.resume(roomy)
        self._paused = (self._paused | full) - roomy
