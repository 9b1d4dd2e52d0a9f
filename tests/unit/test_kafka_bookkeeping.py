"""What both Kafka sources keep in mind between polls."""

from unittest.mock import Mock

import numpy as np
import pytest
from kafka import TopicPartition
from structlog.testing import capture_logs

from flagpost.errors import OffsetLost, TopicMissing
from flagpost.events import Partition
from flagpost.kafka import advice, reachability, topic_watch
from flagpost.kafka.advice import CommitAdvice
from flagpost.kafka.assignment_listener import AssignmentListener
from flagpost.kafka.backlog import Backlog
from flagpost.kafka.leading_assignor import LeadingAssignor
from flagpost.kafka.membership import Membership
from flagpost.kafka.reachability import Reachability
from flagpost.kafka.record_batches import Records
from flagpost.kafka.topic_watch import TopicWatch

A, B, C = (Partition("t", number) for number in range(3))


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in (advice, reachability, topic_watch):
        monkeypatch.setattr(module, "time", clock)
    return clock


def test_changes_are_told_once() -> None:
    membership = Membership()
    membership.gain([A, B])
    membership.lose([B])

    assert membership.changes() == (frozenset({A}), frozenset({B}))
    assert membership.changes() == (frozenset(), frozenset())


def test_a_partition_lost_and_gained_again_has_to_be_sought_again() -> None:
    membership = Membership()
    membership.gain([A])
    membership.changes()
    membership.seek(A)
    membership.pause([A])
    membership.lose([A])
    membership.gain([A])

    assert membership.changes() == (frozenset({A}), frozenset({A}))
    assert membership.owns(A)
    assert not membership.sought(A)
    membership.seek(A)
    assert membership.flows(A), "the pause ended with the loss"


def test_a_pause_of_what_somebody_else_has_is_not_kept() -> None:
    membership = Membership()
    membership.pause([A])
    membership.gain([A])
    membership.changes()
    membership.seek(A)

    assert membership.flows(A)


def batch(first_offset: int, count: int) -> Records:
    offsets = np.arange(first_offset, first_offset + count)
    return Records(offsets, [b"%d" % offset for offset in offsets], {})


def offsets_of(batches: list[Records]) -> list[int]:
    return [offset for each in batches for offset in each.offsets.tolist()]


def test_a_backlog_is_taken_evenly_and_in_order() -> None:
    backlog = Backlog()
    backlog.add(A, [batch(0, 7), batch(7, 50)])
    backlog.add(A, [batch(57, 43)])
    backlog.add(B, [batch(0, 3)])
    backlog.add(C, [batch(0, 100)])

    taken = backlog.take(43, lambda _: True)

    assert {p: len(offsets_of(batches)) for p, batches in taken.items()} == {A: 20, B: 3, C: 20}
    assert backlog.first_offset(A) == 20
    assert backlog.first_offset(B) is None
    rest = backlog.take(1000, lambda _: True)
    assert offsets_of(taken[A] + rest[A]) == list(range(100))
    assert [value for each in taken[A] for value in each.values] == [b"%d" % n for n in range(20)]
    assert backlog.size(lambda _: True) == 0


def test_a_backlog_takes_no_more_than_its_limit() -> None:
    backlog = Backlog()
    for partition in (A, B, C):
        backlog.add(partition, [batch(0, 5)])

    taken = backlog.take(2, lambda _: True)

    assert sum(len(offsets_of(batches)) for batches in taken.values()) == 2
    assert backlog.size(lambda _: True) == 13


def test_a_backlog_keeps_what_does_not_flow() -> None:
    backlog = Backlog()
    backlog.add(A, [batch(0, 5)])
    backlog.add(B, [batch(0, 5)])

    assert backlog.size(lambda p: p != A) == 5
    assert set(backlog.take(100, lambda p: p != A)) == {B}
    assert backlog.first_offset(A) == 0


def test_only_the_newest_offsets_are_advised_and_not_too_often(clock: Clock) -> None:
    commits = CommitAdvice()
    commits.note({A: 1, B: 1})
    assert commits.take_due() == {A: 1, B: 1}

    commits.note({A: 2})
    commits.note({A: 3, B: 4})
    commits.forget([B])
    assert commits.take_due() == {}
    clock.now += 1.1
    assert commits.take_due() == {A: 3}


def test_what_is_refused_is_sent_again_unless_it_is_older_or_another_members(
    clock: Clock,
) -> None:
    commits = CommitAdvice()
    commits.note({A: 1, B: 1})
    first = commits.take_due()
    commits.answered({A: 1}, again={A})
    assert commits.take_due() == {}
    clock.now += 1.1
    assert commits.take_due() == {A: 1}

    commits.note({A: 2})
    commits.take_all()
    commits.forget([B])
    commits.answered(first, again={A, B})
    assert commits.take_all() == {}
    assert commits.awaits_answer
    assert not commits.is_settled

    commits.answered({A: 2}, again=())
    assert commits.is_settled


def test_what_was_noted_after_a_refused_one_is_sent_in_its_place() -> None:
    commits = CommitAdvice()
    commits.note({A: 1, B: 1})
    commits.take_all()
    commits.note({A: 2})

    commits.answered({A: 1, B: 1}, again={A, B})

    assert commits.take_all() == {A: 2, B: 1}


def test_what_is_not_answered_is_sent_again_at_the_end() -> None:
    commits = CommitAdvice()
    commits.note({A: 1, B: 1})
    commits.take_all()
    commits.answered({A: 1}, again=())

    commits.take_back_unanswered()

    assert commits.take_all() == {B: 1}


def test_away_and_back_are_said_once(clock: Clock) -> None:
    with capture_logs() as logs:
        reachable = Reachability("host:9092")
        reachable.unseen()
        for _ in range(3):
            clock.now += 2.5
            reachable.unseen()
        reachable.seen()
        reachable.seen()

    assert [entry["event"] for entry in logs] == ["kafka away", "kafka back"]
    assert logs[0]["bootstrap"] == "host:9092"


def test_a_topic_may_be_missing_for_a_moment(clock: Clock) -> None:
    watch = TopicWatch(frozenset({"t"}))
    watch.look({})
    clock.now += 4
    watch.look({})
    watch.look({"t": "id"})
    clock.now += 100
    watch.look({})
    clock.now += 6

    with pytest.raises(TopicMissing, match="'t'"):
        watch.look({})


def test_a_topic_with_another_id_is_another_topic(clock: Clock) -> None:
    watch = TopicWatch(frozenset({"t"}))
    watch.look({"t": "id"})

    with pytest.raises(OffsetLost, match="created again"):
        watch.look({"t": "other"})


def test_who_is_thrown_out_claims_nothing_when_he_joins_again() -> None:
    assignor = LeadingAssignor("t")
    assignor.member_assignment = [TopicPartition(*A), TopicPartition(*B)]
    membership = Membership()
    membership.gain([A, B])
    membership.changes()

    listener = AssignmentListener(Mock(), assignor, membership)
    listener.on_partitions_lost({TopicPartition(*A)})

    assert assignor.metadata(["t"]).owned_partitions == []
    assert membership.changes() == (frozenset(), frozenset([A]))


def test_losing_everything_includes_what_was_not_told_yet() -> None:
    membership = Membership()
    membership.gain([A])
    membership.changes()
    membership.gain([B])

    membership.lose_all()

    assert membership.changes() == (frozenset(), frozenset([A]))
    assert not membership.owns(A)
