"""The worker between a source and a store in memory, with everything that goes wrong there."""

import json
import math
import random
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from threading import Event
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from tenacity import wait_fixed
from xxhash import xxh64_intdigest

from flagpost.at_once import AtOnce
from flagpost.core.calendar import DAY_US, HOUR_US
from flagpost.core.decoding import MessageDecoder
from flagpost.core.effects import Counts, Effects, Position, Segment
from flagpost.core.features import COUNT_30D, TERMINAL_COUNT_30D
from flagpost.core.micro_batch import score_transactions
from flagpost.core.pipeline import ScoringRules
from flagpost.core.scorer import tabulate
from flagpost.core.segment import unpack
from flagpost.core.spread import SAMPLE_EVERY, TrainedSpread, bins_of
from flagpost.dead_share import DeadShare
from flagpost.errors import OffsetLost, TooManyDeadLetters, Unavailable
from flagpost.events import BadMessage, Partition, TransactionDecoder
from flagpost.kafka.dead_letters import DeadLetters
from flagpost.kafka.group import BATCH_SECONDS
from flagpost.kafka.source import Chunk, Poll, Record
from flagpost.merging import Merging
from flagpost.settings import KeepScores
from flagpost.torture.waiting import wait_until
from flagpost.worker import CREDIT_BATCHES, Worker
from tests.contract.memory_source import Log, MemorySource
from tests.contract.memory_store import Database, MemoryStore

A, B = Partition("transactions", 0), Partition("transactions", 1)
GROUP = "scorers"
FLAGGED_FROM = 5

# The log-odds are how many transactions the customer has in 30 days, less 4.5: the fifth is
# flagged, and a score tells what the worker knew of the customer.
RULES = ScoringRules(
    scorer=tabulate(-4.5, [COUNT_30D], [np.array([0.0, 1e3])], [np.array([0.0, 1e3])]),
    threshold=0.5,
    population_mean_cents=0.0,
    model_version="test",
    bins=bins_of([TrainedSpread("amount", [10.0], [0.5, 0.5])]),
)


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flagpost.worker.POLL_SECONDS", 0.001)
    monkeypatch.setattr("flagpost.worker.wait_exponential_jitter", lambda **_: wait_fixed(0.002))


@pytest.fixture(autouse=True, params=[1_000, 0], ids=["at once", "in threads"])
def small_messages(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every batch of a test is small, or none is."""
    monkeypatch.setattr("flagpost.processing.SMALL_MESSAGES", request.param)


@pytest.fixture(autouse=True)
def few_rows_are_merged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most journals of these tests are merged while they are written, killed and loaded."""
    monkeypatch.setattr("flagpost.merging.MERGED_ROWS", 3)


at_once = pytest.mark.parametrize("small_messages", [1_000], indirect=True)
in_threads = pytest.mark.parametrize("small_messages", [0], indirect=True)


@dataclass
class Letters:
    """What the worker sends to the dead letters; the first flushes may fail."""

    failing_flushes: int = 0
    sent: list[tuple[Partition, int, str]] = field(default_factory=list)
    arrived: list[tuple[Partition, int, str]] = field(default_factory=list)
    on_flush: Callable[[], object] = lambda: None

    def send(self, chunk: Chunk, index: int, bad: BadMessage) -> None:
        self.sent.append((chunk.partition, chunk.offset(index), bad.reason))

    def flush(self) -> None:
        self.on_flush()
        arriving, self.sent = self.sent, []
        if self.failing_flushes:
            self.failing_flushes -= 1
            raise Unavailable("the dead-letter topic does not answer")
        self.arrived += arriving


class Interrupted(MemoryStore):
    """A store whose n-th call of each kind, counted from 1, can fail or come late."""

    def __init__(
        self, database: Database, **interruptions: Mapping[int, Callable[[], None]]
    ) -> None:
        super().__init__(database, GROUP)
        self._interruptions = interruptions
        self._calls: dict[str, int] = {}

    def _interrupt(self, kind: str) -> None:
        self._calls[kind] = self._calls.get(kind, 0) + 1
        self._interruptions.get(kind, {}).get(self._calls[kind], lambda: None)()

    def acquire(self, first_offsets: Mapping[Partition, int]) -> dict[Partition, Position]:
        self._interrupt("before_acquire")
        return super().acquire(first_offsets)

    def load_segments(
        self, partitions: Collection[Partition], since_event_time_us: Mapping[Partition, int]
    ) -> Iterator[Segment]:
        for segment in super().load_segments(partitions, since_event_time_us):
            yield segment
            self._interrupt("within_load")

    def begin_commit(self, effects: Effects) -> Callable[[], Counts]:
        self._interrupt("before_commit")
        await_counts = super().begin_commit(effects)

        def await_and_interrupt() -> Counts:
            counts = await_counts()
            self._interrupt("after_commit")
            return counts

        return await_and_interrupt

    def positions(self, topic: str) -> dict[Partition, Position]:
        self._interrupt("before_positions")
        return super().positions(topic)


def unavailable() -> None:
    raise Unavailable("PostgreSQL is unavailable")


def record(value: bytes) -> Record:
    return Record(None, value, [], None)


def payment(user: int, number: int) -> Record:
    """The given transaction of a user, counted from 1; one a minute."""
    fields = {
        "transaction_id": f"U{user}-{number}",
        "timestamp": 1_750_000_000 + 60 * number,
        "user_id": f"U{user}",
        "amount": 10,
    }
    return record(json.dumps(fields).encode())


def payments(users: Collection[int], numbers: Collection[int]) -> list[Record | None]:
    return [payment(user, number) for number in numbers for user in users]


def flagged_payments(users: Collection[int], last: int) -> dict[str, int]:
    """Flagged ids, and the window of 30 days that each has to be scored with."""
    return {f"U{u}-{n}": n for u in users for n in range(FLAGGED_FROM, last + 1)}


def windows(database: Database) -> dict[str, int]:
    """Read back from each stored score how many transactions the worker knew of."""
    return {
        transaction_id: round(math.log(p / (1 - p)) + 4.5)
        for transaction_id, row in database.flagged.items()
        for p in [row.fraud_probability]
    }


def n_counted(database: Database) -> int:
    """How many transactions the spread of the one feature of these rules was counted on."""
    return sum(map(sum, database.spread.values()))


def n_sampled(log: Log) -> int:
    """How many transactions the ids of a log choose for the spread."""
    values = {record.value for records in log.values() for record in records if record}
    ids = [json.loads(value)["transaction_id"] for value in values if value]
    return sum(xxh64_intdigest(each.encode()) % SAMPLE_EVERY == 0 for each in ids)


def totals(database: Database) -> Counts:
    return sum(database.totals.values(), Counts())


def worker(
    source: MemorySource,
    store: MemoryStore,
    letters: Letters | None = None,
    stop: Event | None = None,
    batch_messages: int = 7,
    max_dead_share: float = 1.0,
    keep: KeepScores = "flagged",
) -> Worker:
    return Worker(
        source,
        store,
        cast("DeadLetters", letters or Letters()),
        MessageDecoder(TransactionDecoder(), "labels"),
        RULES,
        DeadShare(max_dead_share, judged_messages=10),
        Merging(store, AtOnce()),
        stop or Event(),
        batch_messages=batch_messages,
        latest_event_time_us=lambda: 2_000_000_000_000_000,
        keep_scores=keep,
    )


def before_scoring(monkeypatch: pytest.MonkeyPatch, do: Callable[[], None]) -> None:
    """Have something done whenever the scores of a batch begin."""

    def score(*arguments: object) -> object:
        do()
        return cast("Callable[..., object]", score_transactions)(*arguments)

    monkeypatch.setattr("flagpost.processing.score_transactions", score)


def score_all(log: Log, store: MemoryStore, letters: Letters | None = None) -> Worker:
    scoring = worker(MemorySource(log), store, letters)
    scoring.run(until_caught_up=True)
    return scoring


@pytest.fixture
def database() -> Database:
    return Database()


@pytest.fixture
def log() -> Log:
    return {A: payments([1, 2], range(1, 21)), B: payments([3], range(1, 21))}


WHOLE_LOG = flagged_payments([1, 2, 3], 20)
WHOLE_COUNTS = Counts(60, 12, 48, 0, 0)


@pytest.mark.parametrize("batch_messages", [1, 3, 1_000])
def test_counts_add_up_and_each_message_ends_in_one_place(
    database: Database, batch_messages: int
) -> None:
    log: Log = {A: [*payments([1], range(1, 9)), record(b"{"), payment(1, 8)], B: [record(b"")]}
    letters, source = Letters(), MemorySource(log)
    scoring = worker(source, MemoryStore(database, GROUP), letters, batch_messages=batch_messages)

    scoring.run(until_caught_up=True)

    assert totals(database) == scoring.tally.counts == Counts(11, 4, 4, 1, 2)
    assert windows(database) == flagged_payments([1], 8)
    assert sorted(letters.arrived) == [(A, 8, "not_json"), (B, 0, "empty")]
    assert source.committed == {A: 10, B: 1}


def test_a_message_delivered_again_is_counted_and_neither_scored_nor_kept(
    log: Log, database: Database
) -> None:
    score_all(log, MemoryStore(database, GROUP))
    counted = n_counted(database)
    for partition in log:
        log[partition] *= 2

    score_all(log, MemoryStore(database, GROUP))

    assert n_counted(database) == counted == n_sampled(log) > 0

    assert windows(database) == WHOLE_LOG
    assert totals(database) == WHOLE_COUNTS + Counts(60, 0, 0, 60, 0)
    kept = [
        unpack(s.columns).event_time_us.size for each in database.segments.values() for s in each
    ]
    assert sum(kept) == 60


@pytest.mark.parametrize(
    "interruptions",
    [
        {"before_commit": {1: unavailable}},
        {"before_commit": dict.fromkeys(range(2, 7), unavailable)},
        {"after_commit": {3: unavailable}},
        {"after_commit": {1: unavailable, 2: unavailable, 9: unavailable}},
        {"before_acquire": {1: unavailable, 2: unavailable}},
        {"after_commit": {4: unavailable}, "within_load": {1: unavailable, 3: unavailable}},
        {"before_positions": {1: unavailable}},
    ],
    ids=[
        "first commit", "five commits", "a reply lost", "replies lost",
        "takeover", "loading half way", "asking for the lag",
    ],
)  # fmt: skip
def test_an_absent_database_is_waited_for_without_doubling_or_losing_anything(
    interruptions: dict[str, dict[int, Callable[[], None]]], log: Log, database: Database
) -> None:
    score_all(log, Interrupted(database, **interruptions))

    assert windows(database) == WHOLE_LOG
    assert totals(database) == WHOLE_COUNTS
    assert n_counted(database) == n_sampled(log) > 0
    ends = {partition: at.next_offset for (_, partition), at in database.positions.items()}
    assert ends == {A: 40, B: 20}


def test_a_worker_that_is_fenced_writes_nothing_and_takes_over_again(
    log: Log, database: Database
) -> None:
    other = MemoryStore(database, GROUP)
    seen: list[Counts] = []

    def overtake() -> None:
        other.acquire({A: 0})
        seen.append(totals(database))

    store = Interrupted(
        database,
        before_commit={3: overtake, 5: overtake},
        before_acquire={2: lambda: seen.append(totals(database))},
    )
    score_all(log, store)

    assert seen[0] == seen[1]
    assert windows(database) == WHOLE_LOG
    assert totals(database) == WHOLE_COUNTS
    assert database.positions[GROUP, A].epoch == 5


@pytest.mark.parametrize("batch_messages", [1, 5, 1_000])
def test_a_day_is_counted_by_itself_in_an_hour_that_the_stream_had_come_to(
    database: Database, batch_messages: int
) -> None:
    hours = range(3 * 24)
    log: Log = {A: [payment(1, 60 * hour) for hour in hours]}
    first_hour = 1_750_000_000 // 3_600
    chosen = [hour for hour in hours if n_sampled({A: [payment(1, 60 * hour)]})]
    source = MemorySource(log)

    worker(source, MemoryStore(database, GROUP), batch_messages=batch_messages).run(
        until_caught_up=True
    )

    days = Counter((first_hour + hour) // 24 for hour in chosen)
    counted: Counter[int] = Counter()
    for (_, _, hour_us, _), counts in database.spread.items():
        counted[hour_us // HOUR_US // 24] += sum(counts)
    assert counted == days
    assert len(days) > 1
    if batch_messages == 1:
        found = {key[2] // HOUR_US - first_hour for key in database.spread}
        assert found == set(chosen)


def test_windows_are_right_after_any_rebalance(database: Database) -> None:
    log: Log = {A: [], B: []}
    sources = MemorySource(log), MemorySource(log)
    members = [worker(source, MemoryStore(database, GROUP)) for source in sources]
    sources[1].take(log)
    owners, chooser = {A: 0, B: 0}, random.Random(5)
    users = {A: 1, B: 2}
    for number in range(1, 31):
        partition, owner = chooser.choice([A, B]), chooser.choice([0, 1])
        if owners[partition] != owner:
            sources[owners[partition]].take([partition])
            sources[owner].give([partition])
            owners[partition] = owner
        log[partition].append(payment(users[partition], len(log[partition]) + 1))
        members[owner].run(until_caught_up=True)
        assert totals(database).n_in == number

    assert windows(database) == (
        flagged_payments([1], len(log[A])) | flagged_payments([2], len(log[B]))
    )
    assert members[0].tally.counts + members[1].tally.counts == totals(database)


def test_a_partition_that_was_taken_away_is_left_alone_after_a_failure_too(
    database: Database,
) -> None:
    log: Log = {A: payments([1], range(1, 4)), B: []}
    source = MemorySource(log)
    member = worker(source, Interrupted(database, before_commit={2: unavailable}))
    member.run(until_caught_up=True)
    source.take([B])
    log[A].append(payment(1, 4))

    member.run(until_caught_up=True)

    epochs = {partition: at.epoch for (_, partition), at in database.positions.items()}
    assert epochs == {A: 2, B: 1}


@in_threads
def test_a_rebalance_is_followed_though_the_database_fails_meanwhile(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    log: Log = {A: payments([1], range(1, 9)), B: []}
    scored, given, reported = Event(), Event(), Event()

    before_scoring(monkeypatch, scored.set)

    class Rebalanced(MemorySource):
        def poll(self, max_messages: int, timeout_seconds: float) -> Poll:
            if scored.is_set():  # so the first commit is on its way
                assert given.wait(10)
            poll = super().poll(max_messages, timeout_seconds)
            if poll.assigned == {B}:
                reported.set()
            return poll

    source = Rebalanced(log)
    source.take([B])

    def give_and_fail() -> None:
        log[B] += payments([2], range(1, 9))
        source.give([B])
        given.set()
        assert reported.wait(10)
        unavailable()

    worker(source, Interrupted(database, before_commit={1: give_and_fail})).run(
        until_caught_up=True
    )

    assert windows(database) == flagged_payments([1, 2], 8)
    assert totals(database) == Counts(16, 8, 8, 0, 0)


def test_the_journal_is_shortened_once_in_ten_days_for_all_partitions(database: Database) -> None:
    class Forgetful(MemoryStore):
        def forget_segments(self, reached: Mapping[Partition, Position], kept_us: int) -> int:
            asked.append((dict(reached), kept_us))
            return super().forget_segments(reached, kept_us)

    def once_a_day(user: int) -> list[Record | None]:
        return [payment(user, 1 + 24 * 60 * day) for day in range(31)]

    asked: list[tuple[dict[Partition, Position], int]] = []
    log: Log = {A: once_a_day(1), B: once_a_day(2)}
    store = Forgetful(database, GROUP)
    worker(MemorySource(log), store, batch_messages=4).run(until_caught_up=True)

    assert [set(reached) for reached, _ in asked[-3:]] == [{A, B}] * 3
    assert 4 <= len(asked) <= 5  # at once, and when each ten days begin
    assert {kept_us for _, kept_us in asked} == {400 * DAY_US}
    for partition, at in asked[-1][0].items():
        now = database.positions[GROUP, partition]
        assert at.epoch == now.epoch
        assert 0 <= (now.event_time_us or 0) - (at.event_time_us or 0) < 12 * DAY_US


@pytest.mark.parametrize(("batch_messages", "asked"), [(20_000, 5_000), (2_000, 1_000), (7, 7)])
def test_a_poll_is_a_quarter_of_a_large_batch_and_all_of_a_small_one(
    database: Database, batch_messages: int, asked: int
) -> None:
    polled: set[int] = set()

    class Asked(MemorySource):
        def poll(self, max_messages: int, timeout_seconds: float) -> Poll:
            polled.add(max_messages)
            return super().poll(max_messages, timeout_seconds)

    worker(Asked({A: payments([1], range(1, 9))}), MemoryStore(database, GROUP),
           batch_messages=batch_messages).run(until_caught_up=True)  # fmt: skip

    assert polled == {asked}


class Counting(MemorySource):
    """Counts the messages that were read."""

    n_read = 0

    def poll(self, max_messages: int, timeout_seconds: float) -> Poll:
        poll = super().poll(max_messages, timeout_seconds)
        self.n_read += sum(len(chunk.values) for chunk in poll.chunks)
        return poll


@in_threads
def test_while_a_batch_is_scored_three_more_are_read(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def see_how_far_it_reads() -> None:
        if not found:
            wait_until(lambda: source.n_read >= 8 + 3 * 8, 10)
            time.sleep(0.05)  # it does not go on
            found.append(source.n_read)

    monkeypatch.setattr("flagpost.worker.SCORING_SECONDS", 0.0)
    before_scoring(monkeypatch, see_how_far_it_reads)
    found: list[int] = []
    source = Counting({A: payments([1], range(1, 101))})
    worker(source, MemoryStore(database, GROUP), batch_messages=8).run(until_caught_up=True)

    assert found == [8 + 3 * 8]


@at_once
def test_after_a_silence_some_small_batches_follow_at_once_and_then_they_are_apart(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    class OneByOne(Counting):
        def poll(self, max_messages: int, timeout_seconds: float) -> Poll:
            return super().poll(min(max_messages, 1), timeout_seconds)

    source = OneByOne({A: payments([1], range(1, 101))})
    slept = list[float]()
    n_read = list[int]()

    def sleep(seconds: float) -> None:
        if seconds > 1e-9:  # what floating point leaves over
            slept.append(seconds)
            n_read.append(source.n_read)

    clock = SimpleNamespace(  # which stands still but for the worker's sleeps
        monotonic=lambda: 1_000 + sum(slept), perf_counter=time.perf_counter, sleep=sleep
    )
    monkeypatch.setattr("flagpost.worker.time", clock)
    worker(source, MemoryStore(database, GROUP)).run(until_caught_up=True)

    assert n_read == list(range(CREDIT_BATCHES + 1, 101))
    assert slept == pytest.approx([BATCH_SECONDS] * (100 - CREDIT_BATCHES))


@in_threads
def test_nobody_sleeps_because_many_large_batches_came(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Faltering(MemorySource):
        n_polls = 0

        def poll(self, max_messages: int, timeout_seconds: float) -> Poll:
            self.n_polls += 1
            if 80 <= self.n_polls < 90:  # so that nothing is being scored when the worker goes on
                time.sleep(0.01)
                return Poll([], frozenset(), frozenset())
            return super().poll(max_messages, timeout_seconds)

    slept = list[float]()
    clock = SimpleNamespace(  # which stands still
        monotonic=lambda: 1_000.0, perf_counter=time.perf_counter, sleep=slept.append
    )
    monkeypatch.setattr("flagpost.worker.time", clock)
    before_scoring(monkeypatch, lambda: time.sleep(0.002))
    source = Faltering({A: payments([1], range(1, 101))})
    worker(source, MemoryStore(database, GROUP), batch_messages=1).run(until_caught_up=True)

    assert max(slept) <= BATCH_SECONDS + 1e-9


@at_once
def test_messages_are_read_while_a_small_batch_is_committed(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    happened: list[str] = []

    class Noting(MemoryStore):
        def begin_commit(self, effects: Effects) -> Callable[[], Counts]:
            happened.append("begun")
            await_counts = super().begin_commit(effects)

            def note_and_await() -> Counts:
                happened.append("ended")
                return await_counts()

            return note_and_await

    class Polled(MemorySource):
        def poll(self, max_messages: int, timeout_seconds: float) -> Poll:
            happened.append(f"polled for {timeout_seconds} s")
            return super().poll(max_messages, timeout_seconds)

    monkeypatch.setattr("flagpost.worker.POLL_SECONDS", 0.002)
    monkeypatch.setattr("flagpost.worker.ANSWER_SECONDS", 0.001)
    source = Polled({A: payments([1], range(1, 9))})
    worker(source, Noting(database, GROUP), batch_messages=2).run(until_caught_up=True)

    soon, late = "polled for 0.001 s", "polled for 0.002 s"
    first = happened.index("begun")
    assert set(happened[:first]) == {late}
    assert happened[first:] == ["begun", soon, "ended"] * 4
    assert totals(database) == Counts(8, 4, 4)


def test_markers_are_passed_without_a_message(database: Database) -> None:
    log: Log = {A: [None, *payments([1], range(1, 7)), None, None], B: [None]}

    score_all(log, MemoryStore(database, GROUP))

    ends = {partition: at.next_offset for (_, partition), at in database.positions.items()}
    assert ends == {A: 9, B: 1}
    assert totals(database) == Counts(6, 4, 2, 0, 0)


def test_the_batch_under_way_is_finished_when_the_worker_shall_stop(
    log: Log, database: Database
) -> None:
    stop = Event()
    store = Interrupted(database, before_commit={2: stop.set})

    scoring = worker(MemorySource(log), store, stop=stop)
    scoring.run()

    assert 0 < totals(database).n_in == scoring.tally.counts.n_in < 60


def test_a_worker_that_waits_for_the_database_can_be_stopped(log: Log, database: Database) -> None:
    stop = Event()

    def stop_meanwhile() -> None:
        stop.set()
        unavailable()

    absent = dict.fromkeys(range(1, 100), unavailable) | {5: stop_meanwhile}
    store = Interrupted(database, before_commit=absent)

    worker(MemorySource(log), store, stop=stop).run()

    assert totals(database).n_in == 0


def test_a_source_gone_bad_stops_the_worker_before_anything_is_written(database: Database) -> None:
    log: Log = {A: [*payments([1], range(1, 10)), record(b"bad")]}
    letters = Letters()
    scoring = worker(
        MemorySource(log), MemoryStore(database, GROUP), letters,
        batch_messages=10, max_dead_share=0.05,
    )  # fmt: skip

    with pytest.raises(TooManyDeadLetters):
        scoring.run()

    assert (letters.sent, letters.arrived) == ([], [])
    assert totals(database) == Counts()


def test_a_source_gone_bad_is_noticed_in_small_batches_too(database: Database) -> None:
    letters = Letters()
    log: Log = {A: [record(b"bad") for _ in range(500)]}
    scoring = worker(
        MemorySource(log), MemoryStore(database, GROUP), letters,
        batch_messages=4, max_dead_share=0.05,
    )  # fmt: skip

    with pytest.raises(TooManyDeadLetters):
        scoring.run(until_caught_up=True)

    assert totals(database).n_dead == scoring.tally.counts.n_dead < 30


@in_threads
def test_a_partition_that_is_fenced_while_it_is_paused_flows_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Trickle(MemorySource):
        def poll(self, max_messages: int, timeout_seconds: float) -> Poll:
            return super().poll(min(max_messages, 7), timeout_seconds)

    monkeypatch.setattr("flagpost.worker.SCORING_SECONDS", 0.0)
    monkeypatch.setattr("flagpost.event_order.MOST_HELD_MESSAGES", 8)
    before_scoring(monkeypatch, lambda: time.sleep(0.02))
    log: Log = {A: payments([1, 2], range(1, 101))}
    source, other = Trickle(log), MemoryStore(database, GROUP)
    overtaken: list[Partition] = []

    def overtake_once_when_paused() -> None:
        if source.is_paused(A) and not overtaken:
            overtaken.append(A)
            other.acquire({A: 0})

    commits = dict.fromkeys(range(1, 100), overtake_once_when_paused)
    worker(source, Interrupted(database, before_commit=commits), batch_messages=30).run(
        until_caught_up=True
    )

    assert overtaken == [A]
    assert totals(database) == Counts(200, 8, 192, 0, 0)


@pytest.mark.parametrize("failing", ["before_commit", "after_commit"])
def test_what_others_told_of_a_terminal_outlives_a_failed_commit(
    database: Database, failing: str
) -> None:
    def at_terminal(name: str, day: int, terminal: str) -> Record:
        fields = {
            "transaction_id": name,
            "timestamp": 1_700_000_000 + 86_400 * day,
            "user_id": name,
            "amount": 10,
            "terminal_id": terminal,
        }
        return record(json.dumps(fields).encode())

    log: Log = {A: [], B: [at_terminal("theirs", 1, "T")]}
    score_all(log, MemoryStore(database, GROUP))
    log[A] += [at_terminal("ours", 10, "T"), at_terminal("much later", 200, "X")]
    source = MemorySource(log)
    source.take([B])
    member = worker(source, Interrupted(database, **{failing: {1: unavailable}}), keep="all")

    member.run(until_caught_up=True)

    assert database.kept["ours"].features[TERMINAL_COUNT_30D] == 1


def test_a_position_in_a_former_topic_of_the_same_name_ends_it(
    log: Log, database: Database
) -> None:
    score_all(log, MemoryStore(database, GROUP))
    before = totals(database)
    source = MemorySource(log, ids={"transactions": "second"})

    with pytest.raises(OffsetLost, match=r"transactions\[\d\]: the topic was deleted and created"):
        worker(source, MemoryStore(database, GROUP)).run()

    assert totals(database) == before


@pytest.mark.parametrize("next_offset", [41, 10_000])
def test_a_position_outside_of_the_topic_ends_it(
    log: Log, database: Database, next_offset: int
) -> None:
    database.positions[GROUP, A] = Position(1, next_offset, None)

    with pytest.raises(OffsetLost, match=rf"transactions\[0\].* {next_offset}, .* 0 to 39"):
        score_all(log, MemoryStore(database, GROUP))

    assert totals(database) == Counts()


def test_what_a_member_waits_for_and_ends_by_is_noted(log: Log, database: Database) -> None:
    score_all(log, Interrupted(database, before_commit={2: unavailable}))
    waited = [error for error, _ in database.errors]
    database.positions[GROUP, A] = Position(1, 41, None)
    with pytest.raises(OffsetLost):
        score_all(log, MemoryStore(database, GROUP))

    assert set(waited) == {"PostgreSQL is unavailable"}
    assert "transactions[0]" in database.errors[-1][0]


def test_nothing_is_written_before_the_dead_letters_have_arrived(database: Database) -> None:
    log: Log = {A: [payment(1, 1), record(b"bad"), payment(1, 2)]}
    seen: list[Counts] = []
    letters = Letters(failing_flushes=3, on_flush=lambda: seen.append(totals(database)))

    score_all(log, MemoryStore(database, GROUP), letters)

    assert seen == [Counts()] * 4
    assert letters.arrived == [(A, 1, "not_json")]
    assert totals(database) == Counts(3, 2, 0, 0, 1)


def test_offsets_are_committed_to_kafka_after_the_database(log: Log, database: Database) -> None:
    class Late(MemoryStore):
        def begin_commit(self, effects: Effects) -> Callable[[], Counts]:
            return partial(self._commit, effects)

    class Compared(MemorySource):
        def commit(self, offsets: Mapping[Partition, int]) -> None:
            stored = {p: at.next_offset for (_, p), at in database.positions.items()}
            ahead.append(any(offset > stored[p] for p, offset in offsets.items()))
            super().commit(offsets)

    ahead: list[bool] = []
    source = Compared(log)
    worker(source, Late(database, GROUP)).run(until_caught_up=True)

    assert len(ahead) > 5
    assert not any(ahead)
    assert source.committed == {A: 40, B: 20}
