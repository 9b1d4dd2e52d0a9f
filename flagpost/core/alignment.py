"""Event-time order between partitions: nobody runs far ahead of the slowest one.

A replay is faster than life: one partition may be weeks ahead of another. A terminal's windows end
seven days back, and a late label counts a day after it is known; so as long as nothing is processed
more than some hours ahead of a partition that still has messages, every score is what it would have
been in real time, where nobody ever waits.
"""

from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Mapping
from itertools import accumulate, islice, takewhile
from typing import Generic

from flagpost.core.calendar import HOUR_US
from flagpost.core.piece import M, Piece, united
from flagpost.events import Partition

ALIGNED_WITHIN_US = 12 * HOUR_US
"""How far, in event time, a partition may be ahead of the slowest one that has more to come."""

MOST_SHARES = 4
"""Into no more shares a batch is parted: a commit costs some milliseconds, however small it is.

A share holds a whole poll of one partition: of a large batch a poll is such a part, too.
"""


class Alignment(Generic[M]):
    """Holds pieces back until the others have come near.

    Stream times are microseconds since 1970: the latest event time of a partition up to somewhere.
    """

    def __init__(self) -> None:
        self._held: defaultdict[Partition, deque[Piece[M]]] = defaultdict(deque)
        self._arrived_us: dict[Partition, int] = {}

    def drop(self, partition: Partition) -> None:
        """Forget a partition; what was held of it is going to be read again, by somebody."""
        self._held.pop(partition, None)
        self._arrived_us.pop(partition, None)

    def hold(self, piece: Piece[M]) -> None:
        """Take in the next piece of a partition."""
        self._held[piece.partition].append(piece)
        if piece.stream_time_us.size:
            self._arrived_us[piece.partition] = int(piece.stream_time_us[-1])

    def n_held_of(self, partition: Partition) -> int:
        """Count the messages that are held of a partition."""
        return sum(piece.n_messages for piece in self._held.get(partition, ()))

    @property
    def n_held(self) -> int:
        """Count the messages that are held."""
        return sum(map(self.n_held_of, list(self._held)))

    def arrived_us(self, partition: Partition, processed_us: int | None) -> int | None:
        """Return the stream time up to which a partition has been read, processed or not."""
        return self._arrived_us.get(partition, processed_us)

    @property
    def is_empty(self) -> bool:
        """Say whether nothing is held."""
        return not any(self._held.values())

    def waiting_at(self) -> dict[Partition, int]:
        """Return the stream time at which each partition with held messages goes on."""
        return {
            partition: int(pieces[0].stream_time_us[0])
            for partition, pieces in self._held.items()
            if pieces and pieces[0].stream_time_us.size
        }

    @property
    def latest_us(self) -> int | None:
        """The latest stream time of all that is held; None if nothing is."""
        return max((self._arrived_us[p] for p in self.waiting_at()), default=None)

    def laggards(self, own: Iterable[tuple[Partition, int | None]]) -> set[Partition]:
        """Return those of our partitions, with their processed times, that others may wait for."""
        latest_us = self.latest_us
        if latest_us is None:
            return set()
        arrived = {partition: self.arrived_us(partition, done_us) for partition, done_us in own}
        return {
            partition
            for partition, us in arrived.items()
            if us is None or us + ALIGNED_WITHIN_US < latest_us
        }

    def release(self, until_us: int | None, at_once: int) -> list[Piece[M]]:
        """Give out what is held up to a stream time, as at most one piece of each partition.

        Without a time everything may go; but about `at_once` messages together, unless first pieces
        have more, and never far beyond what stays behind.
        """
        share = self._share_of(at_once)
        numbers = {
            partition: _n_at_once(pieces, share)
            for partition, pieces in self._held.items()
            if pieces
        }
        limits = [until_us, earliest(self._left_behind_us(numbers))]
        until_us = min((us for us in limits if us is not None), default=None)
        taken = [_take(self._held[p], number, until_us) for p, number in numbers.items()]
        return [united(pieces) for pieces in taken if pieces]

    def _share_of(self, at_once: int) -> int:
        """Return how many messages a partition may give; who holds little does not count."""
        n_rich = sum(MOST_SHARES * self.n_held_of(partition) > at_once for partition in self._held)
        return at_once // min(max(n_rich, 1), MOST_SHARES)

    def _left_behind_us(self, numbers: Mapping[Partition, int]) -> list[int | None]:
        """Return the stream times at which partitions go on after so many pieces."""
        rests = (islice(self._held[p], number, None) for p, number in numbers.items())
        times = (
            next((p.stream_time_us for p in rest if p.stream_time_us.size), None) for rest in rests
        )
        return [int(us[0]) for us in times if us is not None]


def _n_at_once(pieces: Iterable[Piece[M]], share: int) -> int:
    """Count the pieces from the first on that have at most so many messages; one at least."""
    sums = accumulate(piece.n_messages for piece in pieces)
    return max(1, sum(1 for _ in takewhile(share.__ge__, sums)))


def _take(pieces: deque[Piece[M]], number: int, until_us: int | None) -> list[Piece[M]]:
    """Remove and return at most so many pieces, the last of them perhaps in part."""
    taken = list[Piece[M]]()
    while len(taken) < number:
        ready, rest = (pieces[0], None) if until_us is None else pieces[0].split(until_us)
        if ready is not None:
            taken.append(ready)
        if rest is not None:
            pieces[0] = rest
            break
        pieces.popleft()
    return taken


def earliest(times_us: Collection[int | None]) -> int | None:
    """Return how far one may go: the slowest time, and some hours; None if there is no limit.

    Nothing is known yet of a partition whose time is None: one must not go anywhere.
    """
    if not times_us:
        return None
    if None in times_us:
        return 0
    return min(us for us in times_us if us is not None) + ALIGNED_WITHIN_US
