"""A simulated log as a bad day delivers it; its lines stand in the order of their arrival.

Transactions come late, twice and out of order; labels come late and are corrected. All of it stays
within what the scores are promised for: 6 days for a transaction, some hours for a label.
"""

import json
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from flagpost.training.simulator import simulate, write_log

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
_PAYMENT = (
    b'{"transaction_id":"P","timestamp":"2025-01-05T00:00:00Z","user_id":"C1","amount":%s,'
    b'"terminal_id":"T1"}'
)
BAD = [
    b"{",
    b"[]",
    b"\xff\xfe{}",
    b"[" * 100_000,
    b'{"transaction_id":1}',
    b'{"type":"label","transaction_id":"TX0000001"}',
    *(_PAYMENT % amount for amount in (b"NaN", b"1e999", b"-5", b"0.001", b"true", b'"\\ud800"')),
]
"""Each of these is refused for another reason."""

Event = dict[str, Any]


@dataclass(frozen=True)
class Arrival:
    """A line, and when it comes."""

    at: datetime
    line: bytes


def write_disturbed_log(
    path: Path, customers: int, terminals: int, days: int, seed: int, n_bad: int = len(BAD)
) -> None:
    """Write a log that is the same for the same seed.

    At least three lines are bad: the first, the last and one in the middle.
    """
    chance = random.Random(seed)
    write_log(simulate(customers, terminals, days, date(2025, 1, 1), seed), path)
    events = [json.loads(line) for line in path.read_bytes().splitlines()]
    transactions = [event for event in events if "type" not in event]
    arrivals = list(_arrivals_of_transactions(transactions, chance))
    for label in [event for event in events if "type" in event] + _skimmed(transactions, chance):
        arrivals += _arrivals_of_label(label, chance)
    lines = [arrival.line for arrival in sorted(arrivals, key=lambda arrival: arrival.at)]
    inner = [chance.randrange(len(lines)) for _ in range(3, n_bad)]
    for number, place in enumerate(sorted([0, len(lines) // 2, len(lines), *inner], reverse=True)):
        lines.insert(place, BAD[number % len(BAD)])
    path.write_bytes(b"".join(line + b"\n" for line in lines))


def _arrivals_of_transactions(
    transactions: list[Event], chance: random.Random
) -> Iterator[Arrival]:
    for event in transactions:
        at, line = datetime.fromisoformat(event["timestamp"]), _line(event)
        if chance.random() < 0.1:  # changes place with neighbours
            at += chance.uniform(0, 30) * MINUTE
        if chance.random() < 0.04:  # minutes to five days late
            at += math.exp(chance.uniform(math.log(3), math.log(5 * 24 * 60))) * MINUTE
        yield Arrival(at, line)
        if chance.random() < 0.03:
            yield Arrival(at + chance.choice([0, 1, 90]) * MINUTE, line)
        if chance.random() < 0.02:  # from within the histories and from before them
            yield Arrival(at + chance.uniform(5, 60) * DAY, line)


def _skimmed(transactions: list[Event], chance: random.Random) -> list[Event]:
    """Label what happened at every fourth terminal in some weeks as fraud, for longer runs."""
    labels = []
    for event in transactions:
        at = datetime.fromisoformat(event["timestamp"])
        number = int(event["terminal_id"][1:])
        if number % 4 == 0 and 0 <= at.timetuple().tm_yday - 10 - number % 30 < 25:
            known_at = at + chance.uniform(1, 6) * DAY
            labels.append(_label(event, is_fraud=True, known_at=known_at))
    return labels


def _arrivals_of_label(label: Event, chance: random.Random) -> Iterator[Arrival]:
    at = datetime.fromisoformat(label["timestamp"])
    known_at = datetime.fromisoformat(label["known_at"])
    if chance.random() < 0.15:
        known_at = at + chance.uniform(8, 20) * DAY
    is_fraud = label["is_fraud"]
    yield from _sent(_label(label, is_fraud=is_fraud, known_at=known_at), known_at, chance)
    while chance.random() < 0.25:  # corrected, and perhaps corrected back
        known_at, is_fraud = known_at + chance.uniform(0.1, 9) * DAY, not is_fraud
        yield from _sent(_label(label, is_fraud=is_fraud, known_at=known_at), known_at, chance)
    if chance.random() < 0.05:
        unknown = label | {"transaction_id": f"U{label['transaction_id']}"}
        yield from _sent(_label(unknown, is_fraud=True, known_at=known_at), known_at, chance)


def _sent(label: Event, known_at: datetime, chance: random.Random) -> Iterator[Arrival]:
    """Send a label at once or up to six hours late, and sometimes twice."""
    delay = chance.choice([0, 0, chance.uniform(0, 6)]) * HOUR
    yield Arrival(known_at + delay, _line(label))
    if chance.random() < 0.05:
        yield Arrival(known_at + chance.uniform(0, 6) * HOUR, _line(label))


def _label(event: Event, *, is_fraud: bool, known_at: datetime) -> Event:
    return {
        "type": "label",
        **{key: event[key] for key in ("transaction_id", "user_id", "terminal_id", "timestamp")},
        "is_fraud": is_fraud,
        "known_at": known_at.isoformat(),
        "source": "review",
    }


def _line(event: Event) -> bytes:
    return json.dumps(event, separators=(",", ":")).encode()
