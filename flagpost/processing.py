"""What becomes of the messages that are ready: scored, buried, committed, in this order."""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from flagpost.core.effects import Effects, Position
from flagpost.core.micro_batch import (
    effects_of,
    label_identities,
    learn_labels,
    score_transactions,
    scores_to_keep,
)
from flagpost.core.piece import Piece
from flagpost.core.pipeline import ScoringRules
from flagpost.core.segment import Entries, unpack
from flagpost.core.state import State
from flagpost.core.store import LabelIdentity, Store
from flagpost.dead_share import DeadShare
from flagpost.events import Partition
from flagpost.kafka.dead_letters import DeadLetters
from flagpost.kafka.source import Chunk
from flagpost.label_events import Labels
from flagpost.settings import KeepScores


class Processed(NamedTuple):
    """What a batch did, and when it began, was scored and was committed, in seconds."""

    effects: Effects
    started: float
    scored: float
    committed: float


class Processing:
    """Makes the effects of one batch after the other happen.

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

    def process(
        self, pieces: Sequence[Piece[Chunk]], positions: Mapping[Partition, Position]
    ) -> Processed:
        """Score at most one piece of each partition, from its position on, and commit. Blocks.

        Raises:
            Fenced: another member owns a partition by now; nothing was written.
            Unavailable: nobody knows whether anything was written.
            TooManyDeadLetters: nothing was written, and no dead letter sent.
        """
        started = time.perf_counter()
        effects = self._score(pieces, positions)
        self._bury(pieces)
        scored = time.perf_counter()
        self._store.commit(effects)
        self._dead_share.count(effects.counts.n_dead, effects.counts.n_in)
        return Processed(effects, started, scored, time.perf_counter())

    def _score(
        self, pieces: Sequence[Piece[Chunk]], positions: Mapping[Partition, Position]
    ) -> Effects:
        learn_labels(pieces, self._state)
        batch = score_transactions(pieces, self._state, self._rules, self._recall)
        effects = effects_of(pieces, batch, positions, self._known_labels(pieces), self._rules)
        if self._keep_scores == "all" and batch is not None:
            effects.kept.extend(scores_to_keep(batch, self._rules))
        return effects

    def _known_labels(self, pieces: Sequence[Piece[Chunk]]) -> set[LabelIdentity]:
        labels = [piece.rows for piece in pieces if isinstance(piece.rows, Labels)]
        identities = [identity for each in labels for identity in label_identities(each)]
        return self._store.known_labels(identities) if identities else set()

    def _recall(self, partition: Partition, first_us: int, last_us: int) -> Iterator[Entries]:
        """Read what a partition has accepted between two event times, both included. Blocks."""
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
                self._dead_letters.send(piece.chunk, message.message_index, message)
        if bad:
            self._dead_letters.flush()
