"""The guard against a source that has gone bad: too many dead letters stop the worker."""

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

    def add(self, n_dead: int, n_in: int) -> None:
        """Count a batch before anything of it takes effect.

        Raises:
            TooManyDeadLetters: the share is over its limit; nothing of this batch may be written.
        """
        self._n_dead += n_dead
        self._n_in += n_in
        if self._n_in < self._judged_messages:
            return
        if self._n_dead > self._limit * self._n_in:
            msg = (
                f"{self._n_dead} of the last {self._n_in} messages are bad, more than "
                f"FLAGPOST_MAX_DEAD_SHARE={self._limit:g}: look at the dead letters, mend the "
                "source or the mapping, or raise the limit"
            )
            raise TooManyDeadLetters(msg)
        self._n_dead = self._n_in = 0
