"""What somebody says about transactions, completed to label messages. No I/O.

A label finds its transaction by id, time and terminal, and people know the id alone. The rest comes
from the tables where they have the transaction, and else from whoever says it.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from flagpost.bad_messages import BadMessage
from flagpost.event_times import Timestamp, parse_time
from flagpost.events import AS_DESIGNED, message_keys
from flagpost.label_events import LabelDecoder


class Statement(msgspec.Struct, frozen=True):
    """What is said of one transaction; `place` says where, for complaints."""

    transaction_id: str | int
    is_fraud: bool | None = None
    known_at: Timestamp | None = None
    timestamp: Timestamp | None = None
    user_id: str | int | None = None
    terminal_id: str | int | None = None
    source: str | None = None
    place: str = ""


@dataclass(frozen=True, slots=True)
class KnownTransaction:
    """What the tables have of a transaction."""

    user_id: str | None
    terminal_id: str | None
    event_time: datetime


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds where a statement says nothing; `known_at` is in ISO 8601."""

    is_fraud: bool
    known_at: str
    source: str


@dataclass(frozen=True, slots=True)
class Completed:
    """Label messages in the order of `known_at`, with their keys, and what could not become one.

    `counts` has the labels by what they say and by how they came to be.
    """

    keys: Sequence[bytes | None]
    values: Sequence[bytes]
    problems: Sequence[str]
    counts: Counter[str]


def complete(
    statements: Sequence[Statement],
    known: Mapping[str, KnownTransaction],
    defaults: Defaults,
    latest_known_at_us: int,
) -> Completed:
    """Make labels of statements; what the tables know comes before what is said.

    Args:
        statements: in any order.
        known: by transaction id.
        defaults: for what a statement leaves out.
        latest_known_at_us: a later time, in microseconds since 1970, is an error of the sender.
    """
    problems, counts = list[str](), Counter[str]()
    good = list[tuple[Statement, dict[str, Any]]]()
    for each in statements:
        found = known.get(str(each.transaction_id))
        if found is None and each.timestamp is None:
            problems.append(
                f"{each.place}: no table has transaction {each.transaction_id}; say its timestamp "
                "too, and its terminal_id"
            )
            continue
        good.append((each, _message(each, found, defaults)))
    values = [msgspec.json.encode(message) for _, message in good]
    _, bad = LabelDecoder().decode(values, latest_known_at_us)
    problems += [_problem(good[each.message_index][0], each) for each in bad]
    is_bad = {each.message_index for each in bad}
    kept = [place for place in range(len(good)) if place not in is_bad]
    kept.sort(key=lambda place: parse_time(good[place][1]["known_at"]))
    for place in kept:
        each, message = good[place]
        counts["fraud" if message["is_fraud"] else "genuine"] += 1
        counts["found in the tables"] += str(each.transaction_id) in known
        counts["without a terminal"] += message.get("terminal_id") is None
    values = [values[place] for place in kept]
    return Completed(message_keys(values, AS_DESIGNED), values, problems, counts)


def _message(
    each: Statement, found: KnownTransaction | None, defaults: Defaults
) -> dict[str, object]:
    if found is None:
        who = {
            "user_id": each.user_id,
            "terminal_id": each.terminal_id,
            "timestamp": each.timestamp,
        }
    else:
        who = {
            "user_id": found.user_id,
            "terminal_id": found.terminal_id,
            "timestamp": found.event_time,
        }
    message = {
        "type": "label",
        "transaction_id": each.transaction_id,
        **who,
        "is_fraud": defaults.is_fraud if each.is_fraud is None else each.is_fraud,
        "known_at": defaults.known_at if each.known_at is None else each.known_at,
        "source": each.source or defaults.source,
    }
    return {name: value for name, value in message.items() if value is not None}


def _problem(each: Statement, bad: BadMessage) -> str:
    return f"{each.place}: {bad.detail}"
