"""What of a pipeline's state an operator has to look at."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from flagpost.core.effects import Counts
from flagpost.events import Partition
from flagpost.pipeline_status import InKafka, PipelineStatus, Standing

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
P = Partition("payments", 0)
STANDING = Standing(
    partition=P,
    epoch=3,
    next_offset=60,
    event_time=NOW,
    counts=Counts(60, 60, 0, 0, 0),
    moved_at=NOW - timedelta(seconds=90),
    owner="host:1",
    owned_since=NOW - timedelta(hours=1),
    last_error=None,
    last_error_at=None,
)


def problems(
    standing: Standing | None = STANDING, end: int = 100, members: int = 1, stalled: float = 60
) -> list[str]:
    kafka = InKafka({P: (10, end)}, ["host:member"] * members)
    standings = [standing] if standing else []
    return PipelineStatus(NOW, "scorers", kafka, standings, []).problems(stalled)


def test_messages_that_wait_while_nothing_moves_are_a_problem() -> None:
    assert problems() == ["payments[0]: 40 messages wait and nothing moves"]
    assert problems(stalled=120) == []


def test_who_has_just_taken_over_is_given_time() -> None:
    assert problems(replace(STANDING, owned_since=NOW - timedelta(seconds=9))) == []


def test_a_partition_that_is_read_to_its_end_has_no_problem_however_old() -> None:
    assert problems(end=60, members=0) == []


def test_a_partition_that_was_never_read_lags_by_all_that_it_holds() -> None:
    assert problems(None, members=0) == ["90 messages wait and group scorers has no member"]


def test_a_next_message_that_retention_has_passed_is_a_problem() -> None:
    assert problems(replace(STANDING, next_offset=9)) == [
        "payments[0]: the topic does not hold the next message"
    ]


def test_an_error_counts_until_the_partition_moves_or_changes_hands() -> None:
    broken = replace(STANDING, last_error="it broke", last_error_at=NOW - timedelta(seconds=30))

    assert "payments[0]: it broke" in problems(broken)
    assert "payments[0]: it broke" not in problems(replace(broken, moved_at=NOW))
    assert "payments[0]: it broke" not in problems(replace(broken, owned_since=NOW))
