"""The loop of one group member: poll, decode, score, commit.

Delivery, in this order for every micro-batch:

0. What was read waits until no partition with more to come is far behind in event time.
1. Bad messages are sent to the dead letters and acknowledged.
2. One database transaction writes the positions, the journal and the flagged rows. Each position
   moves only if it is where this member left it, at this member's epoch.
3. The offsets are committed to Kafka. They only advise lag tools; nothing is read back from them.

While a batch is scored and committed, the next messages are read and decoded. They touch nothing
before the outcome is known.

A crash between any two steps repeats work but no effect: whoever takes the partition next starts
at the position in the database, with the state that the journal of that position gives.

Every failure has the same answer. The state in memory may be ahead of the database, so it is
dropped, and the partition is taken over again: a new epoch, its position, its journal, a seek.
"""

import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from threading import Event
from typing import NamedTuple

import structlog
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_when_event_set
from tenacity.wait import wait_exponential_jitter

from flagpost.core.decoding import MessageDecoder
from flagpost.core.effects import Advance, Counts, Effects
from flagpost.core.piece import Piece
from flagpost.core.pipeline import ScoringRules
from flagpost.core.state import State
from flagpost.core.store import Store
from flagpost.dead_share import DeadShare
from flagpost.errors import Fenced, Unavailable
from flagpost.event_order import EventOrder
from flagpost.events import Partition
from flagpost.kafka.dead_letters import DeadLetters
from flagpost.kafka.source import Chunk, Poll, Source
from flagpost.ownership import Ownership
from flagpost.peers import Peers
from flagpost.processing import Processed, Processing
from flagpost.settings import KeepScores
from flagpost.tally import Tally

POLL_SECONDS = 0.5
"""How long an empty poll waits: how soon an idle worker notices that it shall stop."""

PEER_SECONDS = 0.01
"""How long a poll waits while messages are held back: how soon one notices that others went on."""

log = structlog.get_logger()


class UnderWay(NamedTuple):
    """A batch that is being processed, and whose messages it holds."""

    partitions: list[Partition]
    done: Future[Processed]


class Worker:
    """One member of the scoring group.

    A second thread scores and commits a batch while this one reads and decodes the next.

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
        self._decoder = decoder
        self._batch_messages = batch_messages
        self._latest_event_time_us = latest_event_time_us
        state = State()
        peers = Peers(source, store, state)
        self._order = EventOrder(source, peers)
        self._held = Ownership(source, store, state, self._order, peers)
        self._processing = Processing(store, state, dead_letters, rules, dead_share, keep_scores)
        self._second_thread = ThreadPoolExecutor(1, "processing")
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
        try:
            poll = self._source.poll(self._batch_messages, self._patience_seconds())
            pieces = self._decode(poll)
        finally:
            self._settle()
        if self._stop.is_set():
            return  # what was read meanwhile is read again, by whoever goes on
        self._take_in(poll, pieces)
        ready = self._order.release(self._held.positions)
        if ready:
            self._begin(ready)
        self._idle = not ready and not self._held.wanted and self._order.is_empty
        if self._idle:
            self._pass_markers()
        self._say_back()

    def _patience_seconds(self) -> float:
        if self._order.is_empty:
            return POLL_SECONDS
        return 0 if self._under_way else PEER_SECONDS

    def _decode(self, poll: Poll) -> list[Piece[Chunk]]:
        ours = self._held.positions.keys() - poll.lost
        chunks = [chunk for chunk in poll.chunks if chunk.partition in ours]
        if chunks:
            self.tally.begin(time.perf_counter())
        return self._decoder.decode(chunks, self._held.reached_us, self._latest_event_time_us())

    def _take_in(self, poll: Poll, pieces: Iterable[Piece[Chunk]]) -> None:
        """Follow a rebalance; keep what was read of the partitions that are still ours."""
        self._held.let_go(poll.lost)
        self._held.want(poll.assigned)
        self._order.hold([piece for piece in pieces if piece.partition in self._held.positions])
        if self._held.wanted:
            self._held.take_over()

    def _begin(self, pieces: list[Piece[Chunk]]) -> None:
        """Have a batch processed while the next messages are being read; see `_settle`."""
        self._under_way = UnderWay(
            [piece.partition for piece in pieces],
            self._second_thread.submit(self._processing.process, pieces, self._held.positions),
        )

    def _settle(self) -> None:
        """Wait for the batch under way, if there is one, and take note of what it did.

        Raises:
            Unavailable: nobody knows whether it was committed.
        """
        batch, self._under_way = self._under_way, None
        if batch is None:
            return
        try:
            processed = batch.done.result()
        except Fenced as fenced:
            self._yield_to(fenced, batch.partitions)
            return
        self._advance(processed.effects.advances)
        self._note(processed)

    def _yield_to(self, fenced: Fenced, partitions: Iterable[Partition]) -> None:
        log.warning("fenced, letting go", reason=str(fenced))
        self._held.want(partitions)

    def _advance(self, advances: list[Advance]) -> None:
        self._held.advance(advances)
        self._source.commit({step.partition: step.next_offset for step in advances})

    def _note(self, processed: Processed) -> None:
        effects, started, scored, committed = processed
        self.tally.add(effects.counts, committed)
        log.info(
            "batch",
            **asdict(effects.counts),
            partitions=len(effects.advances),
            score_ms=round(1e3 * (scored - started), 2),
            commit_ms=round(1e3 * (committed - scored), 2),
        )

    def _pass_markers(self) -> None:
        """Move positions over offsets that hold no message, so that the lag comes down to 0."""
        advances = [
            Advance(p, at.epoch, at.next_offset, ahead, at.event_time_us, Counts())
            for p, at in self._held.positions.items()
            if (ahead := self._source.position(p)) is not None and ahead > at.next_offset
        ]
        if not advances:
            return
        try:
            self._store.commit(Effects(advances))
        except Fenced as fenced:
            self._yield_to(fenced, [step.partition for step in advances])
        else:
            self._advance(advances)

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
