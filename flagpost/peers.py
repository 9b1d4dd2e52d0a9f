"""The other members of the group: their transactions and labels, and how far they are."""

from collections.abc import Collection, Mapping

import structlog

from flagpost.core.alignment import ALIGNED_WITHIN_US, earliest
from flagpost.core.effects import Position, Segment
from flagpost.core.features import RETENTION_US
from flagpost.core.state import State
from flagpost.core.store import Clock, Store
from flagpost.events import Partition
from flagpost.idleness import Idleness
from flagpost.kafka.source import Source

log = structlog.get_logger()


class Peers:
    """Hears of the others through the journal, as often as event time asks for it.

    Terminals and labels are the same for every member only if nobody goes on before it has heard
    of what counts by then. Alone in a group there is nobody to hear, and nothing is asked.
    """

    def __init__(self, source: Source, store: Store, state: State) -> None:
        self._source = source
        self._store = store
        self._state = state
        self._all: frozenset[Partition] = frozenset()
        self._own: frozenset[Partition] = frozenset()
        self._heard: dict[Partition, int] = {}
        self._until_us = 0
        self._announced: dict[Partition, int] = {}
        self._idleness = Idleness()

    @property
    def _others(self) -> frozenset[Partition]:
        return self._all - self._own

    def meet(self, own: Collection[Partition]) -> None:
        """Note after a rebalance which partitions are others'. Blocks.

        Raises:
            Unavailable: the same call may succeed later.
        """
        self._own = frozenset(own)
        self._survey()
        self._heard = {p: offset for p, offset in self._heard.items() if p not in self._own}
        self._announced.clear()
        self._until_us = 0

    def part(self, partition: Partition, position: Position) -> None:
        """A partition is not ours any more; all before its position has been heard."""
        self._heard[partition] = position.next_offset
        self._own -= {partition}
        self._until_us = 0

    def hear_again(self) -> None:
        """Something failed: what it had pushed out of the histories has to be heard once more."""
        self._heard.clear()
        self._until_us = 0

    def limit_us(self, here_us: int, wanted_us: int) -> int | None:
        """Return up to which event time one may go from `here_us`; None if it does not matter.

        Asks the others only if `wanted_us` lies beyond what was known the last time. Blocks then.

        Raises:
            Unavailable: the same call may succeed later.
        """
        if not self._others:
            return None
        if wanted_us > self._until_us:
            limit_us = earliest(self._listen(here_us, wanted_us))
            nobody_lags_us = max(wanted_us, here_us + ALIGNED_WITHIN_US)
            self._until_us = nobody_lags_us if limit_us is None else limit_us
        return self._until_us

    def announce(
        self, waiting_us: Mapping[Partition, int], own: Mapping[Partition, Position]
    ) -> None:
        """Tell the others where we wait, once: whoever is earliest of all may go on."""
        if waiting_us != self._announced and self._others:
            self._store.announce(waiting_us, {p: own[p].epoch for p in waiting_us})
            self._announced = dict(waiting_us)

    def _listen(self, here_us: int, wanted_us: int) -> list[int | None]:
        """Hear what others have committed; return the times of those that have more to do.

        The order matters: what a clock stands for is in the journal when it is read after it.
        """
        self._survey()
        others = self._others
        clocks = self._store.clocks({partition.topic for partition in others})
        self._hear({p: clock for p, clock in clocks.items() if p in others}, here_us)
        ends = {p: end for p, (_, end) in self._source.bounds(others).items()}
        at = {p: clocks.get(p, Clock(0, None)) for p in ends}
        return [
            at[p].reached_us
            for p, end in ends.items()
            if at[p].next_offset < end or not self._idleness.is_idle(p, end, wanted_us)
        ]

    def _survey(self) -> None:
        """Look which partitions there are; whoever gets an added one, we have to hear of it."""
        found = frozenset(self._source.partitions())
        added = found - self._all
        if self._all and added:
            log.warning(
                "partitions added: customers whose messages move to another one begin anew",
                added=[f"{p.topic}[{p.number}]" for p in sorted(added)],
            )
        self._all = found

    def _hear(self, others: Mapping[Partition, Clock], here_us: int) -> None:
        strangers = others.keys() - self._heard.keys()
        since = {  # a stranger may wait far ahead of us, for what comes next there
            partition: min(reached_us, here_us) - RETENTION_US
            for partition in strangers
            if (reached_us := others[partition].reached_us) is not None
        }
        for segment in self._store.load_segments(strangers, since):
            self._overhear(segment)
        known = {p: self._heard[p] for p in others if p in self._heard}
        for segment in self._store.segments_from(known):
            self._overhear(segment)

    def _overhear(self, segment: Segment) -> None:
        self._state.overhear(segment)
        self._heard[segment.partition] = segment.end_offset
