"""What goes wrong in a run, and when: drawn from a seed, so that a run can be had again."""

from dataclasses import dataclass
from enum import StrEnum
from random import Random

FEWEST_MEMBERS, MOST_MEMBERS = 1, 4

PRODUCER_PATIENCE_SECONDS = 15
"""A broker is not away for longer: the producer has time left then to deliver what it sends."""


class Kind(StrEnum):
    """What can go wrong; the value is what a report calls it."""

    KILL = "kill -9 of a member, at any moment"
    DIE_AFTER_SCORING = "kill -9 after scoring"
    DIE_BEFORE_COMMIT = "kill -9 before the database's COMMIT"
    DIE_AFTER_SENDING = "kill -9 before the database's answer"
    DIE_AFTER_COMMIT = "kill -9 after the database's COMMIT"
    DIE_BEFORE_KAFKA = "kill -9 before the commit to Kafka"
    STOP = "SIGTERM of a member"
    FREEZE = "SIGSTOP past the session timeout, then SIGCONT"
    ZOMBIE = "a frozen member wakes before its heir has written"
    JOIN = "a member joins"
    LEAVE = "a member leaves"
    ROLL = "rolling restart"
    MODEL = "another model"
    BROKER_KILLED = "kill -9 of the broker"
    BROKER_PAUSED = "SIGSTOP of the broker"
    DATABASE_KILLED = "kill -9 of PostgreSQL"
    DATABASE_AWAY = "PostgreSQL refuses connections"
    COMMIT_LOST = "connection cut before COMMIT arrives"
    REPLY_LOST = "connection cut before the reply to COMMIT"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong while a part of the log is being sent.

    Attributes:
        kind: what.
        victim: which member, as a share of the list of members.
        moment: when, as a share of the part.
        seconds: for how long, where it has a length.
    """

    kind: Kind
    victim: float
    moment: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything about a run that is left to chance; the log is drawn from the same seed."""

    seed: int
    n_members: int
    faults: list[Fault]


def make_plan(
    seed: int, n_faults: int, longest_outage_seconds: float, kinds: tuple[Kind, ...] = tuple(Kind)
) -> Plan:
    """Draw a plan: the same arguments give the same plan.

    Every kind comes once before any comes twice. Outages last from a second to the longest, those
    of the broker not longer than a producer waits.
    """
    chance = Random(seed)
    deck = list[Kind]()
    while len(deck) < n_faults:
        deck += chance.sample(kinds, len(kinds))
    faults = [
        Fault(
            kind,
            victim=chance.random(),
            moment=chance.uniform(0.1, 0.6),
            seconds=chance.uniform(1, _longest_seconds(kind, longest_outage_seconds)),
        )
        for kind in deck[:n_faults]
    ]
    return Plan(seed, chance.randint(FEWEST_MEMBERS, MOST_MEMBERS), faults)


def _longest_seconds(kind: Kind, longest_outage_seconds: float) -> float:
    if kind in {Kind.BROKER_KILLED, Kind.BROKER_PAUSED}:
        return min(longest_outage_seconds, PRODUCER_PATIENCE_SECONDS)
    return longest_outage_seconds
