"""What somebody says about transactions, completed to label messages. No I/O.

A label finds its transaction by id, time and terminal, and people know the id alone. The rest comes
from the tables as far as they have it, and else from whoever says it.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from flagpost.event_times import Timestamp, parse_time
from flagpost.events import AS_DESIGNED, message_keys
from flagpost.label_events import LabelDecoder
from flagpost.plain_times import UNREADABLE_TIME


class Statement(msgspec.Struct, frozen=True):
    """What is said of one transaction, in the fields of a label; most may be left out."""

    transaction_id: str | int
    is_fraud: bool | int | None = None
    known_at: Timestamp | None = None
    timestamp: Timestamp | None = None
    user_id: str | int | None = None
    terminal_id: str | int | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class KnownTransaction:
    """What the tables have of a transaction."""

    user_id: str | None
    terminal_id: str | None
    event_time: datetime


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds where a statement says nothing; `known_at` is in ISO 8601."""

    is_fraud: bool | None
    known_at: str
    source: str


@dataclass(frozen=True, slots=True)
class Completed:
    """Label messages in the order of `known_at`, with their keys, and what could not become one.

    `counts` has the labels by what they say, and how many lack something.
    """

    keys: Sequence[bytes | None]
    values: Sequence[bytes]
    problems: Sequence[str]
    counts: Counter[str]


Message = dict[str, Any]


def complete(
    statements: Mapping[str, Statement],
    known: Mapping[str, KnownTransaction],
    defaults: Defaults,
    latest_known_at_us: int,
) -> Completed:
    """Make labels of statements; what is said fills what the tables lack, and may not contradict.

    Args:
        statements: by their places, for complaints.
        known: by transaction id.
        defaults: for what a statement leaves out.
        latest_known_at_us: a later time, in microseconds since 1970, is an error of the sender.
    """
    problems, drafts = list[str](), dict[str, Message]()
    for place, each in statements.items():
        found = known.get(str(each.transaction_id))
        message = _message(each, found, defaults)
        problem = _find_denial(each, found) if found else _find_lack(message)
        problem = problem or _find_silence(message)
        if problem:
            problems.append(f"{place}: {problem}")
        else:
            drafts[place] = message
    places = list(drafts)
    values = [msgspec.json.encode(message) for message in drafts.values()]
    _, bad = LabelDecoder().decode(values, latest_known_at_us)
    for refused in bad:
        place = places[refused.message_index]
        problems.append(f"{place}: {refused.detail}")
        del drafts[place]
    for place, contradiction in _find_contradictions(drafts):
        problems.append(f"{place}: {contradiction}")
        del drafts[place]
    messages = sorted(drafts.values(), key=lambda message: parse_time(message["known_at"]))
    ordered = [msgspec.json.encode(message) for message in messages]
    return Completed(message_keys(ordered, AS_DESIGNED), ordered, problems, _count(messages, known))


def _find_contradictions(drafts: Mapping[str, Message]) -> list[tuple[str, str]]:
    """Find what cannot both be: of one transaction, as of one time, fraud and genuine.

    Workers would take both, and the one that says fraud would count.
    """
    first_places = dict[tuple[str, int, bool], str]()
    for place, message in drafts.items():
        first_places.setdefault((*_about(message), message["is_fraud"]), place)
    others = {
        place: first_places.get((*_about(message), not message["is_fraud"]))
        for place, message in drafts.items()
    }
    return [(place, _differs(drafts[place], other)) for place, other in others.items() if other]


def _differs(message: Message, other: str) -> str:
    verdict, opposite = ("fraud", "genuine") if message["is_fraud"] else ("genuine", "fraud")
    return (
        f"says {verdict} of {message['transaction_id']}, and {other} {opposite}, both known_at "
        f"{message['known_at']}; keep one, or give the later one a later known_at"
    )


def _about(message: Message) -> tuple[str, int]:
    return str(message["transaction_id"]), parse_time(message["known_at"])


def _find_denial(each: Statement, found: KnownTransaction) -> str | None:
    """Find what is said against the tables."""
    if each.timestamp is not None:
        time_us = parse_time(each.timestamp)
        if time_us == UNREADABLE_TIME:
            return f"timestamp {each.timestamp!r} is no time; one is 2026-03-01T12:00:00Z"
        if abs(time_us - parse_time(found.event_time.isoformat())) >= _SAME_TIME_US:
            return _denial("timestamp", each, each.timestamp, found.event_time.isoformat())
    if _differ(each.user_id, found.user_id):
        return _denial("user_id", each, each.user_id, found.user_id)
    if _differ(each.terminal_id, found.terminal_id):
        return _denial("terminal_id", each, each.terminal_id, found.terminal_id)
    return None


_SAME_TIME_US = 1_000_000
"""Times that are less apart are the same: files often have whole seconds."""


def _differ(said: str | int | None, stored: str | None) -> bool:
    return said is not None and stored is not None and str(said) != stored


def _denial(name: str, each: Statement, said: object, stored: object) -> str:
    return (
        f"the tables have {name} {stored} for transaction {each.transaction_id}, not {said}; "
        "leave it out if the id is right"
    )


def _find_lack(message: Message) -> str | None:
    """Find what is missing of a transaction that no table has."""
    if "timestamp" in message and "terminal_id" in message:
        return None
    return (
        f"no table has transaction {message['transaction_id']}; give its timestamp and "
        "terminal_id, too"
    )


def _find_silence(message: Message) -> str | None:
    if "is_fraud" not in message:
        return "is_fraud is missing; say --fraud or --genuine for all"
    return None


def _count(messages: Sequence[Message], known: Collection[str]) -> Counter[str]:
    counts = Counter("fraud" if message["is_fraud"] else "genuine" for message in messages)
    counts["found in the tables"] = sum(str(m["transaction_id"]) in known for m in messages)
    counts["without a terminal"] = sum("terminal_id" not in message for message in messages)
    return counts


def _message(each: Statement, found: KnownTransaction | None, defaults: Defaults) -> Message:
    message = {
        "type": "label",
        "transaction_id": each.transaction_id,
        "user_id": _stored_or_said(found.user_id if found else None, each.user_id),
        "terminal_id": _stored_or_said(found.terminal_id if found else None, each.terminal_id),
        "timestamp": found.event_time if found else each.timestamp,
        "is_fraud": _as_bool(defaults.is_fraud if each.is_fraud is None else each.is_fraud),
        "known_at": defaults.known_at if each.known_at is None else each.known_at,
        "source": defaults.source if each.source is None else each.source,
    }
    return {name: value for name, value in message.items() if value is not None}


def _stored_or_said(stored: str | None, said: str | int | None) -> str | int | None:
    return said if stored is None else stored


def _as_bool(is_fraud: bool | int | None) -> bool | int | None:  # noqa: FBT001 - as a file says it
    """Take 0 and 1 for what they mean; other numbers are refused with the message."""
    return bool(is_fraud) if is_fraud in (0, 1) else is_fraud
