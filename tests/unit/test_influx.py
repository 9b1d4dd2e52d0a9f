"""How many messages a poll may wait for."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest

from flagpost.kafka.group import BATCH_SECONDS
from flagpost.kafka.influx import Influx


@pytest.fixture
def sleep(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """A clock of the test's own, and how it goes on."""
    now = 1_000.0

    def go_on(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr("flagpost.kafka.influx.time", SimpleNamespace(monotonic=lambda: now))
    return go_on


def steadily(
    messages: Influx, sleep: Callable[[float], None], n_messages: int, n_times: int = 400
) -> list[int]:
    """Have so many come in the time of each batch; returns what was expected after each."""
    found = []
    for _ in range(n_times):
        sleep(BATCH_SECONDS)
        messages.note(n_messages)
        found.append(messages.expected())
    return found


def test_at_first_nothing_is_expected(sleep: Callable[[float], None]) -> None:
    messages = Influx(1)
    messages.note(1_000)

    assert messages.expected() == 0


@pytest.mark.parametrize(("share", "expected"), [(1, 100), (0.9, 90), (0.5, 50)])
def test_a_share_of_what_comes_in_the_time_of_a_batch_is_expected(
    sleep: Callable[[float], None], share: float, expected: int
) -> None:
    found = steadily(Influx(share), sleep, n_messages=100)

    assert expected - 1 <= found[-1] <= expected
    assert found == sorted(found), "it has risen steadily"


def test_where_messages_come_singly_none_is_waited_for(sleep: Callable[[float], None]) -> None:
    messages = Influx(1)
    for _ in range(100):
        sleep(0.02)
        messages.note(1)
        assert messages.expected() <= 1


def test_what_came_before_a_silence_is_forgotten(sleep: Callable[[float], None]) -> None:
    messages = Influx(1)
    steadily(messages, sleep, n_messages=100)
    sleep(1)

    assert messages.expected() == 0


def test_it_follows_a_stream_that_slows_down(sleep: Callable[[float], None]) -> None:
    messages = Influx(1)
    before = steadily(messages, sleep, n_messages=100)[-1]
    after = steadily(messages, sleep, n_messages=10, n_times=100)

    assert min(after[:4]) > 8 * before // 10, "not by a few batches"
    assert 10 <= after[-1] <= 20
