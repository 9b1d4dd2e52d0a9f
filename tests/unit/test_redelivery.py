from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from flagpost.core.calendar import DAY_US
from flagpost.core.features import RETENTION_US
from flagpost.core.piece import joined
from flagpost.core.pipeline import Run, observe_transactions
from flagpost.core.redelivery import Identities, find_redelivered
from flagpost.core.state import State
from flagpost.core.stream_time import running_maximum
from flagpost.events import Partition, TransactionDecoder
from flagpost.training.offline import DecodedLog, decode_log, observe_log

NOW = 20_000 * DAY_US
P = Partition("t", 0)
LOG = Path("logFraud.json")


def identities(*rows: tuple[int, int, int]) -> Identities:
    return Identities(*(np.array(column, np.int64) for column in zip(*rows, strict=True)))


def nothing(*_: object) -> Iterator[Identities]:
    raise AssertionError("the journal was asked without need")


def test_the_journal_is_not_asked_about_what_memory_still_holds() -> None:
    arrived = identities((1, NOW - RETENTION_US + 1, 7), (2, NOW, 8))
    found = find_redelivered(P, arrived, np.full(2, NOW), nothing)
    assert found.tolist() == [False, False]


def test_an_old_transaction_is_redelivered_if_the_journal_holds_it() -> None:
    old = NOW - RETENTION_US
    arrived = identities((1, old, 7), (1, old, 8), (1, old - 1, 7), (2, old, 7), (1, NOW, 9))
    asked = []

    def recall(*question: object) -> Iterator[Identities]:
        asked.append(question)
        yield identities((1, old, 7), (1, NOW, 9))

    found = find_redelivered(P, arrived, np.full(5, NOW), recall)
    assert found.tolist() == [True, False, False, False, False]
    assert asked == [(P, old - 1, old)]


def test_the_second_of_two_in_one_batch_is_redelivered() -> None:
    old = NOW - RETENTION_US
    arrived = identities((1, old, 7), (1, old, 7))
    found = find_redelivered(P, arrived, np.full(2, NOW), lambda *_: ())
    assert found.tolist() == [False, True]


def test_in_one_batch_the_first_may_have_been_in_time() -> None:
    arrived = identities((1, NOW, 7), (2, NOW + RETENTION_US, 8), (1, NOW, 7), (1, NOW, 9))
    stream_time_us = running_maximum(arrived.event_time_us, None)
    found = find_redelivered(P, arrived, stream_time_us, lambda *_: ())
    assert found.tolist() == [False, False, True, False]


def test_a_log_twice_in_one_batch_counts_once() -> None:
    once = joined(decode_log(LOG, TransactionDecoder(), NOW * 2).batches)
    twice, n = joined([once, once]), once.user_key.size
    run = Run(P, slice(0, 2 * n), running_maximum(twice.event_time_us, None))
    observed = observe_transactions(twice, [run], State(), lambda *_: (), 1.0)
    assert observed.is_duplicate.tolist() == [False] * n + [True] * n


def test_stream_time_never_goes_back() -> None:
    times = np.array([3, 9, 4, 11])
    assert running_maximum(times, None).tolist() == [3, 9, 9, 11]
    assert running_maximum(times, 10).tolist() == [10, 10, 10, 11]


def test_a_log_that_is_sent_twice_counts_once() -> None:
    once = decode_log(LOG, TransactionDecoder(), NOW * 2)
    span = max(b.event_time_us.max() for b in once.batches) - once.batches[0].event_time_us[0]
    assert span > 1.5 * RETENTION_US  # else memory alone would do
    twice = replace(once, batches=once.batches * 2)
    assert observe_log(twice, 1.0).n_duplicate == n_rows(once)
    assert np.array_equal(observe_log(twice, 1.0).matrix, observe_log(once, 1.0).matrix)


def test_batches_of_a_log_make_no_difference() -> None:
    whole = decode_log(LOG, TransactionDecoder(), NOW * 2)
    pieces = [
        batch.take((np.arange(batch.user_key.size) // 777) == piece)
        for batch in whole.batches
        for piece in range(batch.user_key.size // 777 + 1)
    ]
    split = replace(whole, batches=pieces)
    assert np.array_equal(observe_log(split, 1.0).matrix, observe_log(whole, 1.0).matrix)


def n_rows(decoded: DecodedLog) -> int:
    return sum(batch.user_key.size for batch in decoded.batches)
