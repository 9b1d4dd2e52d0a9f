"""The guard against a source that has gone bad: too many dead letters stop the worker."""

from collections.abc import Sequence

from flagpost.bad_messages import BadMessage
from flagpost.errors import TooManyDeadLetters

JUDGED_MESSAGES = 1_000


class DeadShare:
    """The share of bad messages over batches of at least 1,000 messages, small ones taken together.

    A bug or a changed format upstream must not drain a whole topic into the dead letters.
    """

    def __init__(self, limit: float, judged_messages: int = JUDGED_MESSAGES) -> None:
        self._limit = limit
        self._judged_messages = judged_messages
        self._n_dead = 0
        self._n_in = 0

    def judge(self, bad: Sequence[BadMessage], n_in: int) -> None:
        """Look at a batch of `n_in` messages before anything of it takes effect.

        Raises:
            TooManyDeadLetters: the share is over its limit; nothing of this batch may be written.
        """
        n_dead, n_in = self._n_dead + len(bad), self._n_in + n_in
        if n_in < self._judged_messages or n_dead <= self._limit * n_in or not bad:
            return
        msg = (
            f"{n_dead} of the last {n_in} messages are bad, more than "
            f"FLAGPOST_MAX_DEAD_SHARE={self._limit:g}. The first of this batch: {bad[0].detail} "
            "Mend the source or the mapping, or raise the limit"
        )
        raise TooManyDeadLetters(msg)

    def count(self, n_dead: int, n_in: int) -> None:
        """Count a batch that was committed."""
        self._n_dead += n_dead
        self._n_in += n_in
        if self._n_in >= self._judged_messages:
            self._n_dead = self._n_in = 0
