"""The loop of one group member: poll, decode, score, commit.

Delivery, in this order for every micro-batch:

0. What was read waits until no partition with more to come is far behind in event time.
1. Bad messages are sent to the dead letters and acknowledged.
2. One database transaction writes the positions, the journal and the flagged rows. Each position
   moves only if it is where this member left it, at this member's epoch.
3. The offsets are committed to Kafka. They only advise lag tools; nothing is read back from them.

Three large batches are under way at a time: one is read and decoded, one scored, one committed.
What is scored builds on a commit whose outcome is not known yet, and cannot be committed if that
fails. Small batches, of a stream without a backlog, are scored at once and sent: the answer is
asked for when the next one is scored.

A crash between any two steps repeats work but no effect: whoever takes the partition next starts
at the position in the database, with the state that the journal of that position gives.

Every failure has the same answer. The state in memory is ahead of the database, so it is dropped,
and the partition is taken over again: a new epoch, its position, its journal, a seek.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from threading import Event
from typing import NamedTuple, Self

import structlog
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_when_event_set
from tenacity.wait import wait_exponential_jitter

from flagpost.batch_log import BatchLog
from flagpost.core.decoding import MessageDecoder
from flagpost.core.effects import Advance, Counts, Effects
from flagpost.core.piece import Piece
from flagpost.core.pipeline import ScoringRules
from flagpost.core.state import State
from flagpost.core.store import Store
from flagpost.dead_share import DeadShare
from flagpost.errors import Fenced, FlagpostError, Unavailable
from flagpost.event_order import EventOrder
from flagpost.kafka.dead_letters import DeadLetters
from flagpost.kafka.group import BATCH_SECONDS
from flagpost.kafka.source import Chunk, Poll, Source
from flagpost.merging import Merging
from flagpost.ownership import Ownership
from flagpost.peers import Peers
from flagpost.processing import SMALL_MESSAGES, Commit, Processing
from flagpost.settings import KeepScores
from flagpost.tally import Tally

POLL_SECONDS = 0.5
"""How long an empty poll waits: how soon an idle worker notices that it shall stop."""

PEER_SECONDS = 0.01
"""How long a poll waits while messages are held back: how soon one notices that others went on."""

ANSWER_SECONDS = 0.01
"""How long a poll waits while a commit is under way: how soon one asks what came of it."""

CREDIT_BATCHES = 10
"""After a silence so many small batches may follow the first as they come."""

SCORING_SECONDS = 0.002
"""How long one waits for scores until it is worth while to read more messages."""

POLLS_OF_A_BATCH = 4
"""How often one looks, while a large batch is read, whether the one before is scored."""

BATCHES_AHEAD = 3
"""When so many are held one waits for scores: some partitions are read further than they may go."""

LONGEST_PAUSE_SECONDS = 2
"""The longest pause between two attempts while a server is away: how soon its return is noticed."""

log = structlog.get_logger()


class Trouble(NamedTuple):
    """What a member waits for or ends by, and since when."""

    reason: str
    began_at: datetime

    @classmethod
    def of(cls, error: BaseException | None) -> Self:
        """Take an error that has just come up."""
        return cls(str(error), datetime.now(UTC))


def messages_of_a_poll(batch_messages: int) -> int:
    """Return how many messages a poll may bring: a part of a large batch, all of a small one."""
    return max(batch_messages // POLLS_OF_A_BATCH, min(batch_messages, SMALL_MESSAGES))


class Worker:
    """One member of the scoring group.

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
        merging: Merging,
        stop: Event,
        *,
        batch_messages: int,
        latest_event_time_us: Callable[[], int],
        keep_scores: KeepScores = "flagged",
    ) -> None:
        self._source = source
        self._store = store
        self._decoder = decoder
        self._poll_messages = messages_of_a_poll(batch_messages)
        self._most_held = BATCHES_AHEAD * batch_messages
        self._latest_event_time_us = latest_event_time_us
        state = State()
        peers = Peers(source, store, state)
        self._order = EventOrder(source, peers, at_once=batch_messages)
        self._merging = merging
        self._held = Ownership(source, store, state, self._order, peers, merging)
        self._processing = Processing(store, state, dead_letters, rules, dead_share, keep_scores)
        self._away: Trouble | None = None
        self._stop = stop
        self._idle = False
        self._next_poll_at = 0.0
        self._log = BatchLog()
        self.tally = Tally()

    def run(self, *, until_caught_up: bool = False) -> None:
        """Score until `stop` is set, or until the group has no lag left. Blocks.

        A server that is away is waited for, with the membership kept. All other errors end it.

        Raises:
            MustStop: going on would lose or double something.
        """
        patiently = Retrying(
            retry=retry_if_exception_type(Unavailable),
            wait=wait_exponential_jitter(multiplier=0.2, max=LONGEST_PAUSE_SECONDS),
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
            with self._heeding_fences():
                self._finish()
        except FlagpostError as error:
            if not (isinstance(error, Unavailable) and self._stop.is_set()):
                self._note_trouble(Trouble.of(error))
                raise
        finally:
            self._give_up()
            self._log.write()

    def _step(self) -> None:
        self._keep_apart()
        polled_at = time.monotonic()
        poll = self._source.poll(self._poll_messages, self._patience_seconds())
        pieces = self._decode(poll)
        if poll.lost or poll.assigned or self._held.wanted or self._stop.is_set():
            self._follow(poll)
        if self._stop.is_set():
            return  # what was read meanwhile is read again, by whoever goes on
        self._order.hold([piece for piece in pieces if piece.partition in self._held.positions])
        if self._held.wanted:
            self._held.take_over()
        is_full = self._order.n_held >= self._most_held
        if not is_full and not self._processing.is_scored_within(SCORING_SECONDS):
            return  # there is time to read more
        with self._heeding_fences():
            self._pass_on()
        self._held.shorten_journal()
        self._merging.go_on()
        ready = self._order.release(self._held.positions)
        if ready:
            self._note_begun(polled_at)
            self._processing.begin(ready, self._held.positions)
        else:
            self._rest()
        self._idle = not ready and not self._held.wanted and self._order.is_empty
        self._say_back()

    def _note_begun(self, polled_at: float) -> None:
        earliest = polled_at - CREDIT_BATCHES * BATCH_SECONDS
        # Large batches, which nobody keeps apart, leave no debt.
        due_at = min(max(self._next_poll_at, earliest), polled_at)
        self._next_poll_at = due_at + BATCH_SECONDS

    def _keep_apart(self) -> None:
        """Keep small batches apart on average, unless a large one is under way."""
        if self._processing.is_scored_within(0):
            time.sleep(max(0, self._next_poll_at - time.monotonic()))

    def _patience_seconds(self) -> float:
        if self._order.is_empty:
            return ANSWER_SECONDS if self._processing.is_only_committing else POLL_SECONDS
        return 0 if self._processing.is_busy else PEER_SECONDS

    def _decode(self, poll: Poll) -> list[Piece[Chunk]]:
        ours = self._held.positions.keys() - poll.lost
        chunks = [chunk for chunk in poll.chunks if chunk.partition in ours]
        if chunks:
            self.tally.begin(time.perf_counter())
        return self._decoder.decode(chunks, self._held.reached_us, self._latest_event_time_us())

    def _follow(self, poll: Poll) -> None:
        """Follow a rebalance when nothing is under way any more, however that ended."""
        try:
            with self._heeding_fences():
                self._finish()
        finally:  # nobody reports a rebalance twice
            self._held.let_go(poll.lost)
            self._held.want(poll.assigned)

    def _pass_on(self) -> None:
        """Wait for the scores under way and the commit before theirs; their own has begun then."""
        try:
            self._held.move(self._processing.await_scores())
        finally:
            self._note_all(self._processing.await_commits(at_most=1))

    def _finish(self) -> None:
        """Wait until nothing is under way."""
        self._pass_on()
        self._note_all(self._processing.await_commits(at_most=0))

    def _give_up(self) -> None:
        """Wait until nothing is under way, whatever comes of it, and take it all over again."""
        succeeded, partitions = self._processing.give_up()
        self._note_all(succeeded)
        if partitions:
            self._held.take_again(partitions)

    @contextmanager
    def _heeding_fences(self) -> Iterator[None]:
        try:
            yield
        except Fenced as fenced:
            log.warning("fenced, letting go", reason=str(fenced))
            self._give_up()
            self._held.take_again(fenced.partitions)

    def _note_all(self, commits: Iterable[Commit]) -> None:
        for effects, began, scored, done in commits:
            counts, committed = done.result()
            self._settle(effects)
            self.tally.add(counts, committed)
            self._log.add(counts, began, scored, committed)

    def _settle(self, effects: Effects) -> None:
        self._held.settle(effects)
        self._source.commit({step.partition: step.next_offset for step in effects.advances})

    def _rest(self) -> None:
        """Nothing may be processed now: finish what is under way, and pass what is no message."""
        with self._heeding_fences():
            self._finish()
            self._log.write()
            self._order.announce(self._held.positions)
            if self._order.is_empty and not self._held.wanted:
                self._pass_markers()

    def _pass_markers(self) -> None:
        """Move positions over offsets that hold no message, so that the lag comes down to 0."""
        advances = [
            Advance(p, at.epoch, at.next_offset, ahead, at.event_time_us, Counts())
            for p, at in self._held.positions.items()
            if (ahead := self._source.position(p)) is not None and ahead > at.next_offset
        ]
        if advances:
            effects = Effects(advances)
            self._store.commit(effects)
            self._held.move(advances)
            self._settle(effects)

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
        self._give_up()
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
        if self._away is None and attempt.outcome is not None:
            self._away = Trouble.of(attempt.outcome.exception())
            log.warning("waiting for a server", reason=self._away.reason)
            self._note_trouble(self._away)

    def _say_back(self) -> None:
        if self._away is not None:
            self._note_trouble(self._away)  # for it may have been the database
            self._away = None
            log.info("going on")

    def _note_trouble(self, trouble: Trouble) -> None:
        """Tell operators as far as that is possible now; nothing depends on it."""
        with suppress(FlagpostError):
            self._store.note_error(trouble.reason, trouble.began_at)
