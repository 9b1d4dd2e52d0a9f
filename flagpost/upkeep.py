"""The journal is kept small in the background: rows too old are dropped, small ones merged.

In real time a batch is a few messages, and its row costs a reader more than what is in it. A replay
writes large ones, which are left alone, and passes the years in which rows become too old.
"""

from collections import deque
from concurrent.futures import Executor, Future
from typing import NamedTuple

import structlog

from flagpost.core.calendar import DAY_US, has_passed
from flagpost.core.effects import Segment
from flagpost.core.segment import MERGED_BYTES, SMALL_BYTES
from flagpost.core.store import Store
from flagpost.errors import Unavailable
from flagpost.events import Partition

JOURNAL_RETENTION_US = 400 * DAY_US
"""For so long at least a transaction that is sent again is known to have been decided."""

SHORTENING_US = 10 * DAY_US
"""How far event time goes until the journal is shortened again."""

MERGED_ROWS = 512
"""So many small rows are merged, if they are not large enough before."""

FEWEST_ROWS = 32
"""Of so many it is worth while when a large row ends them."""

MOST_DUE = 1_000
"""So many merges wait at most. Older ones are forgotten; who loads the rows notes them again."""

log = structlog.get_logger()


class Span(NamedTuple):
    """Small segments that follow each other; offsets are [start_offset, end_offset)."""

    partition: Partition
    start_offset: int
    end_offset: int
    n_rows: int
    n_bytes: int


class Upkeep:
    """Knows which segments of our partitions are small or too old, and has something done about it.

    The store is one that nobody else waits for; `background` asks it for one thing at a time. All
    methods are for the thread that polls, and none of them blocks.
    """

    def __init__(self, store: Store, background: Executor) -> None:
        self._store = store
        self._background = background
        self._small: dict[Partition, Span] = {}
        self._due: deque[Span] = deque(maxlen=MOST_DUE)
        self._aged: dict[Partition, int] = {}  # what the journals of partitions may forget
        self._under_way: Future[int] | None = None

    def note(self, segment: Segment) -> None:
        """Note a segment that is in the journal; those of a partition come in order."""
        n_bytes = len(segment.columns)
        before = self._small.pop(segment.partition, None)
        if n_bytes >= SMALL_BYTES:
            if before is not None and before.n_rows >= FEWEST_ROWS:
                self._due.append(before)
            return
        span = Span(segment.partition, segment.start_offset, segment.end_offset, 1, n_bytes)
        if before is not None:
            span = span._replace(
                start_offset=before.start_offset,
                n_rows=before.n_rows + 1,
                n_bytes=before.n_bytes + n_bytes,
            )
        if span.n_rows < MERGED_ROWS and span.n_bytes < MERGED_BYTES:
            self._small[segment.partition] = span
        else:
            self._due.append(span)

    def pass_time(self, partition: Partition, before_us: int | None, now_us: int) -> None:
        """Note how far event time has come in a partition: once in ten days rows are too old."""
        if has_passed(SHORTENING_US, before_us, now_us):
            self._aged[partition] = now_us - JOURNAL_RETENTION_US

    def forget(self, partition: Partition) -> None:
        """A partition is not ours any more, or is loaded again; what is under way goes on."""
        self._aged.pop(partition, None)
        self._small.pop(partition, None)
        kept = (span for span in self._due if span.partition != partition)
        self._due = deque(kept, MOST_DUE)

    def go_on(self) -> None:
        """Begin with the next thing to do when the one before is done.

        Raises:
            SchemaOutdated, BadConfiguration: as the store raises them.
        """
        if self._under_way is not None:
            if not self._under_way.done():
                return
            self._heed(self._under_way)
            self._under_way = None
        if self._aged:
            self._under_way = self._background.submit(self._store.forget_segments, self._aged)
            self._aged = {}
        elif self._due:
            partition, start, end, *_ = self._due.popleft()
            self._under_way = self._background.submit(
                self._store.merge_segments, partition, start, end
            )

    def _heed(self, done: "Future[int]") -> None:
        try:
            log.info("journal kept small", rows_fewer=done.result())
        except Unavailable as error:  # the rows are as they were
            log.warning("journal not kept small", reason=str(error))
