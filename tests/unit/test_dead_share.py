import pytest

from flagpost.dead_share import DeadShare
from flagpost.errors import TooManyDeadLetters


def test_a_large_batch_over_the_limit_stops_at_once() -> None:
    with pytest.raises(TooManyDeadLetters, match="51 of the last 1000"):
        DeadShare(0.05).add(51, 1_000)


def test_the_limit_itself_is_allowed() -> None:
    DeadShare(0.05).add(50, 1_000)


def test_a_few_bad_messages_in_small_batches_are_judged_together() -> None:
    share = DeadShare(0.05)
    for _ in range(9):
        share.add(10, 100)
    with pytest.raises(TooManyDeadLetters, match="FLAGPOST_MAX_DEAD_SHARE"):
        share.add(10, 100)


def test_each_thousand_is_judged_by_itself() -> None:
    share = DeadShare(0.05)
    for _ in range(10):
        share.add(0, 1_000)
    with pytest.raises(TooManyDeadLetters):
        share.add(60, 1_000)
