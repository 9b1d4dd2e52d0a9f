"""I6: while a member is silent, the others go on."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from flagpost.core.alignment import earliest
from flagpost.events import Partition
from flagpost.postgres.times import to_us
from flagpost.torture.invariants.violations import Harm, Truths, Violation
from flagpost.torture.ledger import Step, Takeover
from flagpost.torture.site import SESSION_SECONDS
from flagpost.torture.truth import Truth

NOTICED_AFTER, NOTICED_UNTIL = timedelta(seconds=1), timedelta(seconds=5)
"""Between these moments of a silence the others have to move on: its session has not ended yet, so
nobody has inherited anything."""

INHERITED_WITHIN = timedelta(seconds=SESSION_SECONDS + 2)
"""A partition that gets another owner so soon was perhaps given up by the former one before. Later
it may be one that a member has woken for, which is no excuse."""


@dataclass(frozen=True, slots=True)
class Silence:
    """A member stood still or died without a word; `others` lived on, all by their identities."""

    member: str
    others: frozenset[str]
    since: datetime


@dataclass(frozen=True, slots=True)
class Chance:
    """What the others could do with a partition while a member was silent: offsets of it."""

    silence: Silence
    partition: Partition
    before: int
    after: int
    possible: int


def check_progress(chances: Iterable[Chance]) -> Iterator[Violation]:
    """I6: while a member is silent, the others go on where they can."""
    for chance in chances:
        if chance.before == chance.after:
            text = f"it stands before {chance.possible} while {chance.silence.member} is silent"
            yield Violation("I6", Harm.OTHER, text, chance.partition, chance.after)


def chances_of(
    silences: Iterable[Silence],
    takeovers: Sequence[Takeover],
    steps: Sequence[Step],
    truths: Truths,
) -> Iterator[Chance]:
    """Find the partitions in which the others could go on, as the order of events let them.

    That is some hours of event time beyond the slowest partition that has more to come, which soon
    is one of the silent member's: a replayed log passes them within a moment. Partitions that are
    about to change hands are left out.
    """
    for silence in silences:
        begin, end = silence.since + NOTICED_AFTER, silence.since + NOTICED_UNTIL
        before = _positions_at(steps, begin)
        after = _positions_at(steps, end)
        slowest_us = [
            int(truth.stream_time_us[before[partition] - 1]) if before[partition] else None
            for partition, truth in truths.items()
            if before[partition] < _n_sent(truth, end)
        ]
        limit_us = earliest(slowest_us)
        if limit_us is None:
            continue
        for partition in _kept_by_others(silence, takeovers):
            truth = truths[partition]
            sent_us = truth.stream_time_us[: _n_sent(truth, begin)]
            possible = int(np.searchsorted(sent_us, limit_us, side="right"))
            if before[partition] < possible:
                yield Chance(silence, partition, before[partition], after[partition], possible)


def _positions_at(steps: Iterable[Step], moment: datetime) -> Counter[Partition]:
    return Counter({step.partition: step.next_offset for step in steps if step.at <= moment})


def _n_sent(truth: Truth, moment: datetime) -> int:
    return bisect_right(truth.sent_us, to_us(moment))


def _kept_by_others(silence: Silence, takeovers: Iterable[Takeover]) -> Iterator[Partition]:
    until = silence.since + INHERITED_WITHIN
    latest = {each.partition: each for each in takeovers if each.at <= until}
    for partition, takeover in latest.items():
        if takeover.owner in silence.others and takeover.at <= silence.since:
            yield partition
