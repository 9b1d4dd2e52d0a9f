"""A closer look at one message: the first thing that is wrong with it, if anything is.

This is the slow way, some microseconds a message. It goes by the same types as the decoder of the
message, one field at a time, so that both agree on what is bad.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any

import msgspec

from flagpost.bad_messages import Problem, Reason
from flagpost.event_keys import MAX_ID_CHARACTERS
from flagpost.event_times import Timestamp, parse_time
from flagpost.field_mapping import READ_FIELDS, REQUIRED_FIELDS, FieldMapping
from flagpost.plain_times import UNREADABLE_TIME
from flagpost.repeated_fields import MAX_DEPTH

MAX_MESSAGE_BYTES = 1_000_000
MAX_AMOUNT = 1e9
"""The largest amount, in units of the currency."""
MAX_ACCOUNT_BALANCE = 1e12
"""The largest account balance, owned or owed, in units of the currency."""


@dataclass(frozen=True)
class MessageKind:
    """What is read of one kind of message.

    Attributes:
        name: what its `type` says, if it has one.
        refusal: the reason that is given when `type` says something else.
        fields: the fields that are read, with their types, in the order of inspection.
        required: those of them that must be there.
    """

    name: str
    refusal: Reason
    fields: Mapping[str, Any]
    required: tuple[str, ...]

    @cached_property
    def decoders(self) -> Mapping[str, msgspec.json.Decoder[Timestamp]]:
        """A decoder of each field."""
        return {name: msgspec.json.Decoder(type_) for name, type_ in self.fields.items()}


TRANSACTION = MessageKind("transaction", Reason.NOT_A_TRANSACTION, READ_FIELDS, REQUIRED_FIELDS)


def find_problem(
    message: bytes | None,
    mapping: FieldMapping,
    latest_time_us: int,
    kind: MessageKind = TRANSACTION,
) -> Problem | None:
    """Look closely at one message; None if it is a good one of its kind.

    No time in it may lie after `latest_time_us`, microseconds since 1970.
    """
    if message is None:
        return Problem(Reason.TOMBSTONE, None, "The message has no value (a tombstone).")
    unfit = _find_unfit_bytes(message)
    if unfit:
        return unfit
    fields = _split_fields(message)
    if isinstance(fields, Problem):
        return fields
    problem = _find_repeated_field(message, len(fields))
    names = (name for name in kind.fields if name not in mapping.constants)
    while problem is None and (name := next(names, None)):
        source = mapping.source_name(name)
        problem = _find_problem_of_field(kind, name, fields.get(source), source, latest_time_us)
    return problem


def _find_unfit_bytes(message: bytes) -> Problem | None:
    if not message.strip():
        return Problem(Reason.EMPTY, None, "The message is empty.")
    if len(message) > MAX_MESSAGE_BYTES:
        detail = f"The message has {len(message):,} bytes; at most {MAX_MESSAGE_BYTES:,} are taken."
        return Problem(Reason.TOO_LARGE, None, detail)
    try:
        message.decode()
    except UnicodeDecodeError as error:
        detail = f"The message is not UTF-8: {error.reason} at byte {error.start}."
        return Problem(Reason.NOT_UTF8, None, detail)
    return None


def _split_fields(message: bytes) -> Mapping[str, msgspec.Raw] | Problem:
    """Take the top level apart without reading its values."""
    try:
        fields = _RAW_FIELDS.decode(message)
    except RecursionError:
        return _too_deep()
    except msgspec.ValidationError:
        detail = "The message is not a JSON object."
        return Problem(Reason.NOT_AN_OBJECT, None, detail)
    except msgspec.DecodeError as error:
        return Problem(Reason.NOT_JSON, None, f"The message cannot be read: {error}.")
    return _too_deep() if _depth(message) > MAX_DEPTH else fields


_RAW_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])


def _too_deep() -> Problem:
    detail = f"The message nests deeper than {MAX_DEPTH} levels."
    return Problem(Reason.TOO_DEEP, None, detail)


def _depth(message: bytes) -> int:
    """Count the levels of valid JSON; few opening brackets stand for themselves."""
    opening = message.count(b"{") + message.count(b"[")
    if opening <= MAX_DEPTH:
        return opening
    brackets = (match[1] for match in _STRING_OR_BRACKET.finditer(message) if match[1])
    return max(accumulate(1 if bracket in b"{[" else -1 for bracket in brackets))


_STRING_OR_BRACKET = re.compile(rb'"(?:[^"\\]|\\.)*+"|([{}\[\]])', re.DOTALL)


def _find_repeated_field(message: bytes, n_names: int) -> Problem | None:
    pairs = _PAIRS.decode(message.decode())
    if len(pairs) == n_names:
        return None
    name, times = Counter(name for name, _ in pairs).most_common(1)[0]
    field = _shorten(name)
    return Problem(Reason.DUPLICATE_FIELD, field, f"`{field}` is given {times} times.")


_PAIRS = json.JSONDecoder(object_pairs_hook=list, parse_int=str, parse_float=str)


def _find_problem_of_field(
    kind: MessageKind,
    name: str,
    raw: msgspec.Raw | None,
    source_name: str,
    latest_time_us: int,
) -> Problem | None:
    if raw is None or bytes(raw) == b"null":
        if name not in kind.required:
            return None
        return Problem(Reason.MISSING_FIELD, source_name, f"`{source_name}` is missing or null.")
    try:
        content = kind.decoders[name].decode(raw)
    except msgspec.DecodeError as error:
        complaint: Complaint | None = _complain_of_type(kind, name, error)
    else:
        complaint = _complain_of_content(name, content, latest_time_us)
    if complaint is None:
        return None
    reason, what = complaint
    return Problem(reason, source_name, f"`{source_name}` {what}.")


Complaint = tuple[Reason, str]
"""A reason, and the rest of a sentence that begins with the field."""


def _complain_of_type(kind: MessageKind, name: str, error: msgspec.DecodeError) -> Complaint:
    if name == "type":
        return kind.refusal, f'is not "{kind.name}"; nothing else belongs in this topic'
    if "out of range" in str(error):
        return Reason.OUT_OF_RANGE, "is a number out of range"
    _, _, found = str(error).rpartition(", got ")
    expected = _EXPECTED.get(name, "a string or an integer")
    return Reason.WRONG_TYPE, f"must be {expected}, not {found}"


_EXPECTED = {
    "amount": "a number",
    "account_balance": "a number",
    "timestamp": "a string or a number",
    "known_at": "a string or a number",
    "is_fraud": "true or false",
    "source": "a string",
}


def _complain_of_content(name: str, content: Timestamp, latest_time_us: int) -> Complaint | None:
    match name:
        case "timestamp" | "known_at":
            return _complain_of_time(content, latest_time_us)
        case "amount":
            return _complain_of_amount(float(content))
        case "account_balance":
            return _complain_of_balance(float(content))
        case "type" | "is_fraud":
            return None
        case _:
            return _complain_of_text(str(content))


def _complain_of_text(text: str) -> Complaint | None:
    if not text:
        return Reason.EMPTY_ID, "is empty"
    if len(text) > MAX_ID_CHARACTERS:
        return Reason.ID_TOO_LONG, f"has {len(text):,} characters; at most {MAX_ID_CHARACTERS} fit"
    if "\0" in text:
        return Reason.BAD_TEXT, "holds a NUL character"
    return None


def _complain_of_amount(amount: float) -> Complaint | None:
    if amount < 0:
        return Reason.NEGATIVE_AMOUNT, f"is {_shown(amount)}; it must not be negative"
    if amount > MAX_AMOUNT:
        return Reason.OUT_OF_RANGE, f"is over {MAX_AMOUNT:,.0f}"
    if round(amount * 100) / 100 != amount:
        return Reason.FINER_THAN_A_CENT, f"is {_shown(amount)}; it must be in whole cents"
    return None


def _complain_of_balance(balance: float) -> Complaint | None:
    if abs(balance) > MAX_ACCOUNT_BALANCE:
        return Reason.OUT_OF_RANGE, f"is beyond {MAX_ACCOUNT_BALANCE:,.0f}, owned or owed"
    return None


def _complain_of_time(timestamp: Timestamp, latest_time_us: int) -> Complaint | None:
    time_us = parse_time(timestamp)
    if time_us == UNREADABLE_TIME:
        return Reason.BAD_TIMESTAMP, f"is {_shown(timestamp)}, which is no date and time"
    if time_us < 0:
        return Reason.BEFORE_1970, f"is {_shown(timestamp)}, which is before 1970"
    if time_us > latest_time_us:
        return Reason.IN_THE_FUTURE, f"is {_shown(timestamp)}, which is too far in the future"
    return None


def _shown(content: Timestamp) -> str:
    return _shorten(repr(content))


def _shorten(text: str) -> str:
    """Make a text of the sender's short and printable, and leave out what may be a card number."""
    text = _MANY_DIGITS.sub("<digits>", text)
    short = text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."
    return short if short.isprintable() else ascii(short)[1:-1]


_SHOWN_CHARACTERS = 40
_MANY_DIGITS = re.compile(r"\d(?:[ -]?\d){11,}")
