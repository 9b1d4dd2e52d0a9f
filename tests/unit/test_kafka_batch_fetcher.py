"""kafka-python's fetcher as Flagpost has it: when it waits, for what, and what it leaves behind."""

import gc
import weakref
from collections import deque
from collections.abc import Iterator

import pytest
from kafka.future import Future
from kafka.net.selector import NetworkSelector

from flagpost.kafka.batch_fetcher import BatchFetcher, Fetched

LONG_MS = 30_000


class FetcherAlone(BatchFetcher):
    """Without consumer and broker; tests say what is under way and what has come."""

    def __init__(self, net: NetworkSelector) -> None:
        self._net = net
        self._fetch_futures: deque[Future] = deque()
        self._completed_fetches: deque[object] = deque()
        self._reset_task: Future | None = None
        self.has_come: Fetched = {}
        self.n_sent = 0

    async def _send_fetches_async(self) -> list[Future]:
        self.n_sent += 1
        return []

    def send_fetches(self) -> list[Future]:
        self.n_sent += 1
        return []

    def fetched_records(self, *_: object) -> tuple[Fetched, bool]:
        records, self.has_come = self.has_come, {}
        return records, False

    def send(self) -> Future:
        """Have a request under way."""
        self._fetch_futures.append(Future())
        return self._fetch_futures[-1]


class Response:
    """What a broker answers."""


@pytest.fixture
def fetcher() -> Iterator[FetcherAlone]:
    net = NetworkSelector()
    net.start()
    yield FetcherAlone(net)
    net.stop(timeout_ms=1_000)
    net.close()


def test_what_has_come_is_returned_and_the_next_fetch_sent(fetcher: FetcherAlone) -> None:
    fetcher.has_come = {"partition": ["record"]}

    assert fetcher.fetch_records(timeout_ms=LONG_MS) == ({"partition": ["record"]}, False)
    assert fetcher.n_sent == 1


def test_an_answer_ends_the_wait(fetcher: FetcherAlone) -> None:
    request = fetcher.send()
    fetcher._net.call_later(0.01, lambda: request.success(Response()))

    assert fetcher.fetch_records(timeout_ms=LONG_MS) == ({}, False)
    assert fetcher.fetch_records(timeout_ms=LONG_MS) == ({}, False), "one that is over is no wait"


def test_an_error_ends_the_wait_and_is_found_elsewhere(fetcher: FetcherAlone) -> None:
    fetcher.send().failure(ConnectionError())

    assert fetcher.fetch_records(timeout_ms=LONG_MS) == ({}, False)


def test_offsets_that_are_looked_up_end_the_wait(fetcher: FetcherAlone) -> None:
    fetcher._reset_task = Future()
    fetcher._net.call_later(0.01, lambda: fetcher._reset_task.success(None))

    assert fetcher.fetch_records(timeout_ms=LONG_MS) == ({}, False)


def test_what_comes_while_the_next_fetch_is_sent_is_not_waited_for(fetcher: FetcherAlone) -> None:
    fetcher.send()
    fetcher._completed_fetches.append("came just now")

    assert fetcher.fetch_records(timeout_ms=LONG_MS) == ({}, False)


def test_with_nothing_to_wait_for_the_caller_is_told(fetcher: FetcherAlone) -> None:
    assert fetcher.fetch_records(timeout_ms=LONG_MS) == ({}, True)


@pytest.mark.parametrize("timeout_ms", [0, 20])
def test_a_wait_in_vain_keeps_no_answer_alive(fetcher: FetcherAlone, timeout_ms: int) -> None:
    request = fetcher.send()
    gc.collect()
    gc.disable()
    try:
        assert fetcher.fetch_records(timeout_ms=timeout_ms) == ({}, False)
        response = Response()
        request.success(response)
        alive = weakref.ref(response)
        fetcher._fetch_futures.clear()
        del request, response
        assert alive() is None
    finally:
        gc.enable()
