"""A future without a thread."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event, get_ident

import pytest

from flagpost.when_asked import WhenAsked


def test_it_is_called_by_whoever_asks_first_and_only_then() -> None:
    called: list[int] = []

    def work() -> int:
        called.append(get_ident())
        return 7

    asked = WhenAsked(work)
    assert called == []
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(asked.result).result() == 7
        ident = pool.submit(get_ident).result()

    assert asked.result() == 7
    assert asked.exception() is None
    assert called == [ident]


def test_what_it_raises_is_raised_to_everybody() -> None:
    calls: list[None] = []

    def fail() -> None:
        calls.append(None)
        raise ValueError("no")

    asked = WhenAsked(fail)

    assert str(asked.exception()) == "no"
    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            asked.result()
    assert len(calls) == 1


def test_what_ends_the_process_is_raised_and_not_done_again() -> None:
    interrupts = iter([KeyboardInterrupt()])

    def be_interrupted() -> None:
        raise next(interrupts)

    asked = WhenAsked(be_interrupted)

    with pytest.raises(KeyboardInterrupt):
        asked.result()
    assert isinstance(asked.exception(), KeyboardInterrupt)


def test_who_asks_while_another_waits_gets_the_same() -> None:
    began, may_end = Event(), Event()

    def work() -> object:
        began.set()
        may_end.wait(10)
        return object()

    asked = WhenAsked(work)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(asked.result)
        began.wait(10)
        second = pool.submit(asked.result)
        may_end.set()

    assert first.result() is second.result()
