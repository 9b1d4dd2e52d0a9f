"""The worker's log of what it has committed: a line a second tells more than one for each batch."""

import structlog

from flagpost.core.effects import Counts

SECONDS_A_LINE = 1.0

log = structlog.get_logger()


class BatchLog:
    """Adds batches up and writes a line when the last one is old enough.

    Seconds are those of a clock that never goes back.
    """

    def __init__(self) -> None:
        self._written_at = 0.0
        self._begin()

    def _begin(self) -> None:
        self._n_batches = 0
        self._counts = Counts()
        self._longest_scoring_seconds = 0.0
        self._longest_commit_seconds = 0.0

    def add(self, counts: Counts, began: float, scored: float, committed: float) -> None:
        """Take in a batch, and at which seconds it began, was scored and was committed."""
        self._n_batches += 1
        self._counts += counts
        self._longest_scoring_seconds = max(self._longest_scoring_seconds, scored - began)
        self._longest_commit_seconds = max(self._longest_commit_seconds, committed - scored)
        if committed >= self._written_at + SECONDS_A_LINE:
            self._written_at = committed
            self.write()

    def write(self) -> None:
        """Write what was added since the last line, if anything was."""
        if not self._n_batches:
            return
        log.info(
            "committed",
            batches=self._n_batches,
            **self._counts.by_name,
            longest_scoring_ms=round(1e3 * self._longest_scoring_seconds, 2),
            longest_commit_ms=round(1e3 * self._longest_commit_seconds, 2),
        )
        self._begin()
