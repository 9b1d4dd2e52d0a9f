import pytest

from flagpost.bad_messages import BadMessage, Reason
from flagpost.dead_share import DeadShare
from flagpost.errors import TooManyDeadLetters


def bad(n: int) -> list[BadMessage]:
    return [BadMessage(i, Reason.EMPTY, None, "The message is empty.") for i in range(n)]


def process(share: DeadShare, n_dead: int, n_in: int) -> None:
    share.judge(bad(n_dead), n_in)
    share.count(n_dead, n_in)


def test_a_large_batch_over_the_limit_stops_at_once_and_says_what_is_wrong() -> None:
    with pytest.raises(TooManyDeadLetters, match=r"51 of the last 1000 .* The message is empty\."):
        DeadShare(0.05).judge(bad(51), 1_000)


def test_the_limit_itself_is_allowed() -> None:
    DeadShare(0.05).judge(bad(50), 1_000)


def test_a_few_bad_messages_in_small_batches_are_judged_together() -> None:
    share = DeadShare(0.05)
    for _ in range(9):
        process(share, 10, 100)
    with pytest.raises(TooManyDeadLetters, match="FLAGPOST_MAX_DEAD_SHARE"):
        share.judge(bad(10), 100)


def test_each_thousand_is_judged_by_itself() -> None:
    share = DeadShare(0.05)
    for _ in range(10):
        process(share, 0, 1_000)
    with pytest.raises(TooManyDeadLetters):
        share.judge(bad(60), 1_000)


def test_a_batch_that_is_tried_again_counts_once() -> None:
    share = DeadShare(0.05)
    for _ in range(5):
        share.judge(bad(30), 500)
    share.count(30, 500)
    share.judge(bad(20), 500)
