"""Where each partition goes when a group is rewound. No I/O.

All partitions of the group go back to one moment of the stream, the labels with the transactions:
terminals show what happened in every partition, so one alone would be scored on another's future.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from flagpost.core.alignment import ALIGNED_WITHIN_US
from flagpost.core.calendar import EPOCH
from flagpost.core.effects import Counts
from flagpost.errors import BadConfiguration, Refused
from flagpost.event_times import parse_time
from flagpost.events import Partition
from flagpost.plain_times import UNREADABLE_TIME


class Mark(NamedTuple):
    """Where a partition stood, and what had become of its messages until then.

    `event_time` is the latest seen; None before the first transaction. `next_event_time` is what
    came next; None if nothing has yet.
    """

    next_offset: int
    event_time: datetime | None
    counts: Counts
    next_event_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class History:
    """Where a partition stands, and its checkpoints before, the earliest first."""

    epoch: int
    now: Mark
    checkpoints: Sequence[Mark]

    @property
    def marks(self) -> list[Mark]:
        """All that one can go to: staying is one of it."""
        return [*self.checkpoints, self.now]


@dataclass(frozen=True, slots=True)
class Step:
    """A partition goes back from `now` to `then`, or stays where both are the same."""

    partition: Partition
    epoch: int
    now: Mark
    then: Mark

    @property
    def undone(self) -> Counts:
        """What became of the messages that are going to be scored again."""
        return self.now.counts - self.then.counts


Histories = Mapping[Partition, History]


def parse_target(text: str) -> int | datetime:
    """Read an offset, which is digits alone, or an event time in ISO 8601.

    Raises:
        BadConfiguration: it is neither.
    """
    if text.isdecimal():
        return int(text)
    time_us = parse_time(text)
    if time_us == UNREADABLE_TIME:
        raise BadConfiguration(
            f"--to {text!r} is neither an offset nor a time such as 2026-03-01T12:00:00Z"
        )
    return EPOCH + timedelta(microseconds=time_us)


def plan_to_time(histories: Histories, time: datetime) -> list[Step]:
    """Take each partition back to before the first batch that reached an event time.

    In a replay a batch may hold weeks. All partitions go back with the one that has to go furthest,
    so that they go on as near to each other in event time as members always are.

    Raises:
        Refused: the earliest checkpoint of a partition is later than that.
    """
    steps = [
        Step(partition, history.epoch, history.now, _last_before(partition, history, time))
        for partition, history in sorted(histories.items())
    ]
    nearby = min((s.then.next_event_time for s in steps if s.then.next_event_time), default=time)
    nearby += timedelta(microseconds=ALIGNED_WITHIN_US)
    return steps if time <= nearby else plan_to_time(histories, nearby)


def plan_to_beginning(histories: Histories) -> list[Step]:
    """Take each partition back to before its first message.

    Raises:
        Refused: no checkpoint was kept there.
    """
    return [
        Step(partition, history.epoch, history.now, _beginning(partition, history))
        for partition, history in sorted(histories.items())
    ]


def plan_to_offset(histories: Histories, partition: Partition, offset: int) -> list[Step]:
    """Take one partition back to its last checkpoint up to an offset, the others to that time.

    Raises:
        Refused: there is no such partition or checkpoint, or it has not come so far.
    """
    if partition not in histories:
        raise Refused(f"{_name(partition)} was never read; choose another --partition")
    if offset >= histories[partition].now.next_offset:
        raise Refused(f"{_name(partition)} has not come to offset {offset} yet")
    marks = [mark for mark in histories[partition].marks if mark.next_offset <= offset]
    if not marks:
        earliest = histories[partition].marks[0].next_offset
        raise Refused(f"{_name(partition)}: the earliest checkpoint is offset {earliest}")
    reached = marks[-1].event_time
    if reached is None:
        return plan_to_beginning(histories)
    return plan_to_time(histories, reached + timedelta(microseconds=1))


def _last_before(partition: Partition, history: History, time: datetime) -> Mark:
    marks = [m for m in history.marks if m.event_time is None or m.event_time < time]
    if not marks:
        earliest = history.marks[0].event_time
        raise Refused(f"{_name(partition)}: the earliest checkpoint is of event time {earliest}")
    return marks[-1]


def _beginning(partition: Partition, history: History) -> Mark:
    first = history.marks[0]
    if first.counts.n_in:
        raise Refused(
            f"{_name(partition)}: no checkpoint was kept of its beginning, the earliest is offset "
            f"{first.next_offset}; to score everything again use another FLAGPOST_GROUP"
        )
    return first


def _name(partition: Partition) -> str:
    return f"{partition.topic}[{partition.number}]"
