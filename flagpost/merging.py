"""Small rows of the journal are merged in the background, when there are many in a row.

In real time a batch is a few messages, and its row costs a reader more than what is in it. A replay
writes large ones, and nothing is done about those.
"""

from collections import deque
from concurrent.futures import Executor, Future
from typing import NamedTuple

import structlog

from flagpost.core.effects import Segment
from flagpost.core.segment import MERGED_BYTES, SMALL_BYTES
from flagpost.core.store import Store
from flagpost.errors import Unavailable
from flagpost.events import Partition

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


class Merging:
    """Knows which segments of our partitions are small, and has them merged.

    The store is one that nobody else waits for; `background` asks it for one merge at a time. All
    methods are for the thread that polls, and none of them blocks.
    """

    def __init__(self, store: Store, background: Executor) -> None:
        self._store = store
        self._background = background
        self._small: dict[Partition, Span] = {}
        self._due: deque[Span] = deque(maxlen=MOST_DUE)
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

    def forget(self, partition: Partition) -> None:
        """A partition is not ours any more, or is loaded again; a merge under way goes on."""
        self._small.pop(partition, None)
        kept = (span for span in self._due if span.partition != partition)
        self._due = deque(kept, MOST_DUE)

    def go_on(self) -> None:
        """Begin with the next merge when the one before is done.

        Raises:
            SchemaOutdated, BadConfiguration: as the store raises them.
        """
        if self._under_way is not None:
            if not self._under_way.done():
                return
            self._heed(self._under_way)
            self._under_way = None
        if self._due:
            partition, start, end, *_ = self._due.popleft()
            self._under_way = self._background.submit(
                self._store.merge_segments, partition, start, end
            )

    def _heed(self, done: "Future[int]") -> None:
        try:
            log.info("merged", rows_fewer=done.result())
        except Unavailable as error:  # the rows are as they were
            log.warning("not merged", reason=str(error))
