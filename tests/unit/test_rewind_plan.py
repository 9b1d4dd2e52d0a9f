"""Where partitions go when a group is rewound."""

from datetime import UTC, datetime

import pytest

from flagpost.core.effects import Counts
from flagpost.errors import BadConfiguration, Refused
from flagpost.events import Partition
from flagpost.rewind_plan import (
    History,
    Mark,
    parse_target,
    plan_to_beginning,
    plan_to_offset,
    plan_to_time,
)

A, B, LABELS = Partition("t", 0), Partition("t", 1), Partition("labels", 0)


def at(hour: int) -> datetime:
    return datetime(2026, 3, 1, hour, 30, tzinfo=UTC)


def mark(next_offset: int, hour: int | None) -> Mark:
    time = None if hour is None else at(hour)
    return Mark(next_offset, time, Counts(next_offset, next_offset, 0, 0, 0))


HISTORIES = {
    A: History(2, mark(50, 9), [mark(0, None), mark(10, 1), mark(20, 4), mark(30, 7)]),
    B: History(5, mark(9, 3), [mark(0, None), mark(5, 2)]),
    LABELS: History(1, mark(0, None), []),
}


def test_each_partition_goes_to_the_last_checkpoint_before_the_time() -> None:
    steps = plan_to_time(HISTORIES, at(7))

    assert {step.partition: step.then.next_offset for step in steps} == {A: 20, B: 9, LABELS: 0}
    assert [step.undone.n_in for step in steps if step.partition == A] == [30]


def test_all_go_back_with_a_partition_whose_batch_held_weeks() -> None:
    days = [datetime(2026, 3, day, tzinfo=UTC) for day in range(1, 31)]
    dense = [Mark(n, days[n - 1], Counts(), days[n]) for n in range(1, 29)]
    sparse = [Mark(1, days[0], Counts(), days[27]), Mark(2, days[27], Counts(), days[28])]
    long = [Mark(0, None, Counts(), days[0]), Mark(5, days[9], Counts(), days[9])]
    end = Mark(99, days[29], Counts())
    histories = {
        A: History(1, end, dense),
        B: History(1, end, sparse),
        LABELS: History(1, end, long),
    }

    steps = plan_to_time(histories, days[25])

    went = {step.partition: step.then.event_time for step in steps}
    assert went == {A: days[9], B: days[0], LABELS: days[9]}


def test_an_offset_names_the_time_that_its_partition_had_come_to() -> None:
    steps = plan_to_offset(HISTORIES, A, 15)

    assert {step.partition: step.then.next_offset for step in steps} == {A: 10, B: 0, LABELS: 0}


def test_the_beginning_is_before_the_first_message() -> None:
    for steps in (plan_to_beginning(HISTORIES), plan_to_offset(HISTORIES, A, 9)):
        assert {step.then.next_offset for step in steps} == {0}


def test_what_was_not_kept_is_refused() -> None:
    later = {A: History(2, mark(50, 9), [mark(20, 4)])}

    with pytest.raises(Refused, match="no checkpoint was kept of its beginning"):
        plan_to_beginning(later)
    with pytest.raises(Refused, match="earliest checkpoint is of event time"):
        plan_to_time(later, at(4))
    with pytest.raises(Refused, match="earliest checkpoint is offset 20"):
        plan_to_offset(later, A, 19)


def test_an_offset_that_was_not_read_yet_is_refused() -> None:
    with pytest.raises(Refused, match="has not come to offset 50"):
        plan_to_offset(HISTORIES, A, 50)


def test_digits_are_an_offset_and_all_else_is_a_time() -> None:
    assert parse_target("42") == 42
    assert parse_target("2026-03-01T01:30:00Z") == at(1)
    with pytest.raises(BadConfiguration):
        parse_target("-1 day")
