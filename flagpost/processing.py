"""What becomes of the messages that are ready: scored, buried, committed, in this order."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from functools import partial
from typing import NamedTuple

from flagpost.at_once import AtOnce
from flagpost.core.effects import Advance, Counts, Effects, Position
from flagpost.core.micro_batch import learn_labels, score_transactions
from flagpost.core.outcome import effects_of
from flagpost.core.piece import Piece
from flagpost.core.pipeline import ScoringRules
from flagpost.core.rows import scores_to_keep
from flagpost.core.segment import Entries, unpack
from flagpost.core.state import State
from flagpost.core.store import Store
from flagpost.dead_share import DeadShare
from flagpost.events import Partition
from flagpost.kafka.dead_letters import DeadLetters
from flagpost.kafka.source import Chunk
from flagpost.settings import KeepScores
from flagpost.when_asked import WhenAsked

SMALL_MESSAGES = 1_000
"""A batch of at most so many is scored at once: to hand it to other threads would take longer."""


class Committed(NamedTuple):
    """What became of a batch's messages, and when one heard of it (by `time.perf_counter`)."""

    counts: Counts
    at: float


class Commit(NamedTuple):
    """What is being committed, and when its batch began and was scored.

    Moments are seconds of `time.perf_counter`.
    """

    effects: Effects
    began: float
    scored: float
    done: Future[Committed]


class Scoring(NamedTuple):
    """A batch that is being scored."""

    partitions: set[Partition]
    done: "Future[Commit]"


Committing = Callable[[Effects, Commit | None], Future[Committed]]
"""Begins a commit, after the one before."""


class Lanes(NamedTuple):
    """Who scores, and how it is committed."""

    scorer: Executor
    commit: Committing


class Processing:
    """Scores a batch in one thread while another commits the batch before.

    A small batch is scored at once and sent to the store, which is asked when somebody wants to
    know what came of it: the next batch is being read meanwhile.

    Commits happen in order, and none after one that failed. Whoever calls waits for the scores of a
    batch before he begins the next, so the state is never more than a batch ahead of a commit.

    With `keep_scores="all"` the features and scores of clean transactions are stored too.
    """

    def __init__(
        self,
        store: Store,
        state: State,
        dead_letters: DeadLetters,
        rules: ScoringRules,
        dead_share: DeadShare,
        keep_scores: KeepScores,
    ) -> None:
        self._store = store
        self._state = state
        self._dead_letters = dead_letters
        self._rules = rules
        self._dead_share = dead_share
        self._keep_scores = keep_scores
        self._committer = ThreadPoolExecutor(1, "committer")
        self._overlapping = Lanes(ThreadPoolExecutor(1, "scorer"), self._commit_in_thread)
        self._at_once = Lanes(AtOnce(), self._send)
        self._scoring: Scoring | None = None
        self._commits: deque[Commit] = deque()

    @property
    def is_busy(self) -> bool:
        """Say whether anything is under way."""
        return self._scoring is not None or bool(self._commits)

    @property
    def is_only_committing(self) -> bool:
        """Say whether something is being committed, and nothing scored."""
        return self.is_busy and self.is_scored_within(0)

    def is_scored_within(self, seconds: float) -> bool:
        """Wait for the scores under way, so long at most; say whether there are none any more."""
        return self._scoring is None or bool(wait([self._scoring.done], seconds).done)

    def begin(
        self, pieces: Sequence[Piece[Chunk]], positions: Mapping[Partition, Position]
    ) -> None:
        """Start on at most one piece of each partition, from its position on. May block."""
        before = self._commits[-1] if self._commits else None
        is_small = sum(piece.n_messages for piece in pieces) <= SMALL_MESSAGES
        lanes = self._at_once if is_small else self._overlapping
        self._scoring = Scoring(
            {piece.partition for piece in pieces},
            lanes.scorer.submit(self._process, pieces, positions, before, lanes.commit),
        )

    def await_scores(self) -> list[Advance]:
        """Wait for the batch that is being scored; its commit is under way then.

        Returns:
            Where it moves the positions.

        Raises:
            Fenced: another member owns a partition by now.
            Unavailable: nobody knows what was written.
            TooManyDeadLetters: nothing of the batch was written or sent.
        """
        if self._scoring is None:
            return []
        commit = self._scoring.done.result()
        self._commits.append(commit)
        self._scoring = None
        return commit.effects.advances

    def await_commits(self, at_most: int) -> Iterator[Commit]:
        """Wait until at most so many commits are under way, and tell of the others.

        Raises:
            Fenced, Unavailable: as above.
        """
        while len(self._commits) > at_most:
            self._commits[0].done.result()
            commit = self._commits.popleft()
            self._count(commit.effects)
            yield commit

    def give_up(self) -> tuple[list[Commit], set[Partition]]:
        """Wait until nothing is under way, and forget what has failed: it will be done again.

        Returns:
            What was committed all the same, and the partitions of all that was under way.
        """
        partitions = {step.partition for each in self._commits for step in each.effects.advances}
        if self._scoring is not None:
            partitions |= self._scoring.partitions
            if self._scoring.done.exception() is None:
                self._commits.append(self._scoring.done.result())
        succeeded = [commit for commit in self._commits if commit.done.exception() is None]
        for commit in succeeded:
            self._count(commit.effects)
        self._commits.clear()
        self._scoring = None
        return succeeded, partitions

    def _count(self, effects: Effects) -> None:
        self._dead_share.count(effects.counts.n_dead, effects.counts.n_in)

    def _process(
        self,
        pieces: Sequence[Piece[Chunk]],
        positions: Mapping[Partition, Position],
        before: Commit | None,
        commit: Committing,
    ) -> Commit:
        began = time.perf_counter()
        effects = self._score(pieces, positions, before)
        self._bury(pieces)
        scored = time.perf_counter()
        return Commit(effects, began, scored, commit(effects, before))

    def _commit_in_thread(self, effects: Effects, before: Commit | None) -> "Future[Committed]":
        return self._committer.submit(self._commit, effects, before)

    def _commit(self, effects: Effects, before: Commit | None) -> Committed:
        _outcome(before)
        counts = self._store.commit(effects)
        return Committed(counts, time.perf_counter())

    def _send(self, effects: Effects, before: Commit | None) -> "Future[Committed]":
        _outcome(before)
        await_counts = self._store.begin_commit(effects)
        return WhenAsked(lambda: Committed(await_counts(), time.perf_counter()))

    def _score(
        self,
        pieces: Sequence[Piece[Chunk]],
        positions: Mapping[Partition, Position],
        before: Commit | None,
    ) -> Effects:
        learn_labels(pieces, self._state)
        recall = partial(self._recall, before)
        batch = score_transactions(pieces, self._state, self._rules, recall)
        effects = effects_of(pieces, batch, positions, self._rules)
        if self._keep_scores == "all" and batch is not None:
            effects.kept.extend(scores_to_keep(batch, self._rules))
        return effects

    def _recall(
        self, before: Commit | None, partition: Partition, first_us: int, last_us: int
    ) -> Iterator[Entries]:
        """Read what a partition has accepted between two event times, both included. Blocks."""
        _outcome(before)  # what it accepted shall be in the journal
        for segment in self._store.recall_segments(partition, first_us, last_us):
            entries = unpack(segment.columns)
            if isinstance(entries, Entries):
                yield entries

    def _bury(self, pieces: Sequence[Piece[Chunk]]) -> None:
        """Send the bad messages to the dead letters; returns when they are acknowledged."""
        bad = [message for piece in pieces for message in piece.bad]
        self._dead_share.judge(bad, sum(piece.n_messages for piece in pieces))
        for piece in pieces:
            for message in piece.bad:
                self._dead_letters.send(*piece.locate(message.message_index), message)
        if bad:
            self._dead_letters.flush()


def _outcome(commit: Commit | None) -> None:
    """Wait for a commit, and fail as it failed."""
    if commit is not None:
        commit.done.result()
