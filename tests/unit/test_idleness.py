"""Who waits for a partition that is read to its end: a replay for a while, real time not at all."""

import time

import pytest

from flagpost.core.calendar import DAY_US, HOUR_US
from flagpost.events import Partition
from flagpost.idleness import IDLE_SECONDS, Idleness

QUIET = Partition("transactions", 1)


@pytest.fixture
def idleness() -> Idleness:
    return Idleness()


def now_us() -> int:
    return int(1e6 * time.time())


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """The seconds of the clock that does not jump; a test may set them."""
    clock = {"seconds": 100.0}
    monkeypatch.setattr(time, "monotonic", lambda: clock["seconds"])
    return clock


def test_in_real_time_nobody_waits_for_a_quiet_partition(idleness: Idleness) -> None:
    assert idleness.is_idle(QUIET, 5, now_us())
    assert idleness.is_idle(QUIET, 5, now_us() - 11 * HOUR_US)


def test_a_replay_waits_until_nothing_has_come_for_a_while(
    idleness: Idleness, at: dict[str, float]
) -> None:
    long_ago_us = now_us() - DAY_US

    assert not idleness.is_idle(QUIET, 5, long_ago_us)
    at["seconds"] += IDLE_SECONDS / 2
    assert not idleness.is_idle(QUIET, 5, long_ago_us)
    at["seconds"] += IDLE_SECONDS
    assert idleness.is_idle(QUIET, 5, long_ago_us)


def test_what_comes_begins_the_wait_anew(idleness: Idleness, at: dict[str, float]) -> None:
    long_ago_us = now_us() - DAY_US

    assert not idleness.is_idle(QUIET, 5, long_ago_us)
    at["seconds"] += 2 * IDLE_SECONDS
    assert not idleness.is_idle(QUIET, 6, long_ago_us)
