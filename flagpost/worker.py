"""The loop of one group member: poll, decode, score, commit.

Delivery, in this order for every micro-batch:

0. What was read waits until no partition with more to come is far behind in event time.
1. Bad messages are sent to the dead letters and acknowledged.
2. One database transaction writes the positions, the journal and the flagged rows. Each position
   moves only if it is where this member left it, at this member's epoch.
3. The offsets are committed to Kafka. They only advise lag tools; nothing is read back from them.

The next messages are polled while the database works; none of them is looked at before its answer.

A crash between any two steps repeats work but no effect: whoever takes the partition next starts
at the position in the database, with the state that the journal of that position gives.

Every failure has the same answer. The state in memory may be ahead of the database, so it is
dropped, and the partition is taken over again: a new epoch, its position, its journal, a seek.
"""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from threading import Event
from typing import NamedTuple

import structlog
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_when_event_set
from tenacity.wait import wait_exponential_jitter

from flagpost.core.decoding import MessageDecoder
from flagpost.core.effects import Advance, Counts, Effects
from flagpost.core.micro_batch import (
    effects_of,
    label_identities,
    learn_labels,
    score_transactions,
    scores_to_keep,
)
from flagpost.core.piece import Piece
from flagpost.core.pipeline import ScoringRules
from flagpost.core.state import State
from flagpost.core.store import LabelIdentity, Store
from flagpost.dead_share import DeadShare
from flagpost.errors import Fenced, Unavailable
from flagpost.event_order import EventOrder
from flagpost.kafka.dead_letters import DeadLetters
from flagpost.kafka.source import Chunk, Poll, Source
from flagpost.label_events import Labels
from flagpost.ownership import Ownership
from flagpost.peers import Peers
from flagpost.settings import KeepScores
from flagpost.tally import Tally

POLL_SECONDS = 0.5
"""How long an empty poll waits: how soon an idle worker notices that it shall stop."""

PEER_SECONDS = 0.01
"""How long a poll waits while messages are held back: how soon one notices that others went on."""

log = structlog.get_logger()


class UnderWay(NamedTuple):
    """A commit that is being made: its effects, and when their batch began and was scored."""

    effects: Effects
    started: float
    scored: float
    done: Future[float]


class Worker:
    """One member of the scoring group.

    A second thread does nothing but commit, while the next messages are read. Nothing of them is
    looked at before the outcome is known.

    When `stop` is set, the batch under way is finished and `run` returns.
    `latest_event_time_us` looks at the clock: event times after it, in microseconds since 1970, are
    bad. With `keep_scores="all"` the features and scores of clean transactions are stored too.
    """

    def __init__(
        self,
        source: Source,
        store: Store,
        dead_letters: DeadLetters,
        decoder: MessageDecoder,
        rules: ScoringRules,
        dead_share: DeadShare,
        stop: Event,
        *,
        batch_messages: int,
        latest_event_time_us: Callable[[], int],
        keep_scores: KeepScores = "flagged",
    ) -> None:
        self._source = source
        self._store = store
        self._dead_letters = dead_letters
        self._decoder = decoder
        self._rules = rules
        self._dead_share = dead_share
        self._batch_messages = batch_messages
        self._latest_event_time_us = latest_event_time_us
        self._keep_scores = keep_scores
        self._state = State()
        peers = Peers(source, store, self._state)
        self._order = EventOrder(source, peers)
        self._held = Ownership(source, store, self._state, self._order, peers)
        self._committer = ThreadPoolExecutor(1, "commit")
        self._under_way: UnderWay | None = None
        self._away = False
        self._stop = stop
        self._idle = False
        self.tally = Tally()

    def run(self, *, until_caught_up: bool = False) -> None:
        """Score until `stop` is set, or until the group has no lag left. Blocks.

        A server that is away is waited for, with the membership kept. All other errors end it.

        Raises:
            MustStop: going on would lose or double something.
        """
        patiently = Retrying(
            retry=retry_if_exception_type(Unavailable),
            wait=wait_exponential_jitter(multiplier=0.2, max=10),
            stop=stop_when_event_set(self._stop),
            sleep=self._keep_membership,
            before_sleep=self._say_away,
            reraise=True,
        )
        try:
            while not self._stop.is_set():
                patiently(self._step)
                if until_caught_up and self._idle and patiently(self._is_caught_up):
                    return
            self._settle()
        except Unavailable:
            if not self._stop.is_set():
                raise

    def _step(self) -> None:
        poll = self._source.poll(self._batch_messages, self._patience_seconds())
        self._settle()
        if self._stop.is_set():
            return  # what was read meanwhile is read again, by whoever goes on
        self._take_in(poll)
        ready = self._order.release(self._held.positions)
        if ready:
            self._process(ready)
        self._idle = not ready and not self._held.wanted and self._order.is_empty
        if self._idle:
            self._pass_markers()
        self._say_back()

    def _patience_seconds(self) -> float:
        if self._order.is_empty:
            return POLL_SECONDS
        return 0 if self._under_way else PEER_SECONDS

    def _take_in(self, poll: Poll) -> None:
        """Follow a rebalance, then decode what was read and put it in its place."""
        self._held.let_go(poll.lost)
        self._held.want(poll.assigned)
        chunks = [chunk for chunk in poll.chunks if chunk.partition in self._held.positions]
        if self._held.wanted:
            self._held.take_over()
        self._order.hold(
            self._decoder.decode(chunks, self._held.reached_us, self._latest_event_time_us())
        )

    def _process(self, pieces: list[Piece[Chunk]]) -> None:
        started = time.perf_counter()
        learn_labels(pieces, self._state)
        batch = score_transactions(pieces, self._state, self._rules, self._held.recall)
        known = self._known_labels(pieces)
        effects = effects_of(pieces, batch, self._held.positions, known, self._rules)
        if self._keep_scores == "all" and batch is not None:
            effects.kept.extend(scores_to_keep(batch, self._rules))
        self._bury(pieces)
        self._begin_commit(effects, started)

    def _known_labels(self, pieces: list[Piece[Chunk]]) -> set[LabelIdentity]:
        labels = [piece.rows for piece in pieces if isinstance(piece.rows, Labels)]
        identities = [identity for each in labels for identity in label_identities(each)]
        return self._store.known_labels(identities) if identities else set()

    def _bury(self, pieces: list[Piece[Chunk]]) -> None:
        """Send the bad messages to the dead letters; returns when they are acknowledged."""
        bad = [message for piece in pieces for message in piece.bad]
        self._dead_share.judge(bad, sum(piece.n_messages for piece in pieces))
        for piece in pieces:
            for message in piece.bad:
                self._dead_letters.send(piece.chunk, message.message_index, message)
        if bad:
            self._dead_letters.flush()

    def _begin_commit(self, effects: Effects, started: float) -> None:
        """Commit to the database while the next messages are being read; see `_settle`."""
        scored = time.perf_counter()

        def commit() -> float:
            self._store.commit(effects)
            return time.perf_counter()

        self._under_way = UnderWay(effects, started, scored, self._committer.submit(commit))

    def _settle(self) -> None:
        """Wait for the commit under way, if there is one, and note it; then advise Kafka.

        Raises:
            Unavailable: nobody knows whether it has happened.
        """
        commit, self._under_way = self._under_way, None
        if commit is None:
            return
        effects = commit.effects
        try:
            committed = commit.done.result()
        except Fenced as fenced:
            log.warning("fenced, letting go", reason=str(fenced))
            self._held.want(step.partition for step in effects.advances)
            return
        self._held.advance(effects.advances)
        self._source.commit({step.partition: step.next_offset for step in effects.advances})
        self._note(commit, committed)

    def _note(self, commit: UnderWay, committed: float) -> None:
        counts = commit.effects.counts
        if not counts.n_in:
            return
        self._dead_share.count(counts.n_dead, counts.n_in)
        self.tally.add(counts, commit.started, committed)
        log.info(
            "batch",
            **asdict(counts),
            partitions=len(commit.effects.advances),
            score_ms=round(1e3 * (commit.scored - commit.started), 2),
            commit_ms=round(1e3 * (committed - commit.scored), 2),
        )

    def _pass_markers(self) -> None:
        """Move positions over offsets that hold no message, so that the lag comes down to 0."""
        advances = [
            Advance(p, at.epoch, at.next_offset, ahead, at.event_time_us, Counts())
            for p, at in self._held.positions.items()
            if (ahead := self._source.position(p)) is not None and ahead > at.next_offset
        ]
        if advances:
            self._begin_commit(Effects(advances), time.perf_counter())
            self._settle()

    def _is_caught_up(self) -> bool:
        bounds = self._source.bounds(self._source.partitions())
        positions = {
            partition: position
            for topic in {partition.topic for partition in bounds}
            for partition, position in self._store.positions(topic).items()
        }
        return all(
            first == end or (p in positions and positions[p].next_offset >= end)
            for p, (first, end) in bounds.items()
        )

    def _keep_membership(self, seconds: float) -> None:
        """Wait while a server is away: nothing flows, but the group sees this member polling."""
        self._held.want(list(self._held.positions))
        paused = frozenset(self._held.wanted)
        self._source.pause(paused)
        until = time.monotonic() + seconds
        while not self._stop.is_set() and (left := until - time.monotonic()) > 0:
            poll = self._source.poll(1, min(left, POLL_SECONDS))
            self._held.let_go(poll.lost)
            self._held.want(poll.assigned)
        self._source.resume(paused)

    def _say_away(self, attempt: RetryCallState) -> None:
        if not self._away and attempt.outcome is not None:
            self._away = True
            log.warning("waiting for a server", reason=str(attempt.outcome.exception()))

    def _say_back(self) -> None:
        if self._away:
            self._away = False
            log.info("going on")
