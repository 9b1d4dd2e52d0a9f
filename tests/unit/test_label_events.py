import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flagpost.events import Reason, TransactionDecoder
from flagpost.label_events import LabelDecoder, Labels

LATEST_US = 1_800_000_000_000_000
DECODER = LabelDecoder()

GOOD = {
    "type": "label",
    "transaction_id": "t1",
    "user_id": "u1",
    "terminal_id": "m1",
    "timestamp": "2025-04-01T12:00:00Z",
    "is_fraud": True,
    "known_at": "2025-04-03T08:30:00.000001Z",
    "source": "chargeback",
}


def message(**changes: object) -> bytes:
    return json.dumps(GOOD | changes).encode()


def without(*names: str) -> bytes:
    return json.dumps({key: value for key, value in GOOD.items() if key not in names}).encode()


def with_text(name: str, text: str) -> bytes:
    """Write a value as it is, even where it is no JSON."""
    return message(**{name: "@"}).replace(b'"@"', text.encode("utf-8", "surrogatepass"))


def with_more(text: bytes) -> bytes:
    return message()[:-1] + b", " + text + b"}"


POISON: list[tuple[str, bytes | None, Reason, str | None]] = [
    ("tombstone", None, Reason.TOMBSTONE, None),
    ("only white space", b" \r\n", Reason.EMPTY, None),
    ("over a megabyte", message(note="x" * 1_000_000), Reason.TOO_LARGE, None),
    ("bad UTF-8 elsewhere", with_more(b'"note": "\xff"'), Reason.NOT_UTF8, None),
    ("an encoded surrogate", with_text("source", '"\ud800"'), Reason.NOT_UTF8, None),
    ("UTF-16", message().decode().encode("utf-16"), Reason.NOT_UTF8, None),
    ("byte order mark", b"\xef\xbb\xbf" + message(), Reason.NOT_JSON, None),
    ("cut short", message()[:-5], Reason.NOT_JSON, None),
    ("two objects", message() + message(), Reason.NOT_JSON, None),
    ("NaN as time", with_text("known_at", "NaN"), Reason.NOT_JSON, None),
    ("NaN in another field", with_more(b'"note": NaN'), Reason.NOT_JSON, None),
    ("a lone surrogate", with_text("source", '"\\ud800"'), Reason.NOT_JSON, None),
    ("an array", b"[1, 2]", Reason.NOT_AN_OBJECT, None),
    ("100,000 brackets inside", with_more(b'"x": ' + b"[" * 100_000), Reason.TOO_DEEP, None),
    ("65 levels", with_more(b'"x": ' + b"[" * 64 + b"]" * 64), Reason.TOO_DEEP, None),
    ("verdict twice", with_more(b'"is_fraud": false'), Reason.DUPLICATE_FIELD, "is_fraud"),
    ("twice by escape", with_more(b'"is\\u005ffraud": 0'), Reason.DUPLICATE_FIELD, "is_fraud"),
    ("unread twice", with_more(b'"x": 1, "y": 2, "x": 1'), Reason.DUPLICATE_FIELD, "x"),
    ("a transaction", message(type="transaction"), Reason.NOT_A_LABEL, "type"),
    ("a type that is none", message(type=1), Reason.NOT_A_LABEL, "type"),
    ("nothing at all", b"{}", Reason.MISSING_FIELD, "transaction_id"),
    ("no id", without("transaction_id"), Reason.MISSING_FIELD, "transaction_id"),
    ("no time", without("timestamp"), Reason.MISSING_FIELD, "timestamp"),
    ("no verdict", without("is_fraud"), Reason.MISSING_FIELD, "is_fraud"),
    ("null verdict", message(is_fraud=None), Reason.MISSING_FIELD, "is_fraud"),
    ("no time of knowing", without("known_at"), Reason.MISSING_FIELD, "known_at"),
    ("1 as verdict", message(is_fraud=1), Reason.WRONG_TYPE, "is_fraud"),
    ("a word as verdict", message(is_fraud="true"), Reason.WRONG_TYPE, "is_fraud"),
    ("boolean id", message(transaction_id=True), Reason.WRONG_TYPE, "transaction_id"),
    ("fraction as id", message(user_id=1.5), Reason.WRONG_TYPE, "user_id"),
    ("list as id", message(terminal_id=["m1"]), Reason.WRONG_TYPE, "terminal_id"),
    ("a number as source", message(source=17), Reason.WRONG_TYPE, "source"),
    ("boolean time", message(timestamp=True), Reason.WRONG_TYPE, "timestamp"),
    ("boolean time of knowing", message(known_at=False), Reason.WRONG_TYPE, "known_at"),
    ("time 1e999", with_text("known_at", "1e999"), Reason.OUT_OF_RANGE, "known_at"),
    ("id of 5,000 digits", with_text("user_id", "9" * 5000), Reason.OUT_OF_RANGE, "user_id"),
    ("an escaped NUL", message(transaction_id="t\0"), Reason.BAD_TEXT, "transaction_id"),
    ("a NUL in the source", message(source="\0"), Reason.BAD_TEXT, "source"),
    ("empty id", message(user_id=""), Reason.EMPTY_ID, "user_id"),
    ("empty source", message(source=""), Reason.EMPTY_ID, "source"),
    ("long id", message(terminal_id="x" * 257), Reason.ID_TOO_LONG, "terminal_id"),
    ("long source", message(source="x" * 257), Reason.ID_TOO_LONG, "source"),
    ("30 February", message(timestamp="2025-02-30T00:00:00Z"), Reason.BAD_TIMESTAMP, "timestamp"),
    ("words as time", message(known_at="yesterday"), Reason.BAD_TIMESTAMP, "known_at"),
    ("1969", message(timestamp="1969-12-31T23:59:59Z"), Reason.BEFORE_1970, "timestamp"),
    ("known in 1969", message(known_at=-1), Reason.BEFORE_1970, "known_at"),
    ("a later year", message(timestamp="2027-02-01"), Reason.IN_THE_FUTURE, "timestamp"),
    ("known in a later year", message(known_at="2027-02-01"), Reason.IN_THE_FUTURE, "known_at"),
    ("known a microsecond before", message(known_at="2025-04-01T11:59:59.999999Z"),
     Reason.KNOWN_TOO_EARLY, "known_at"),
]  # fmt: skip

ODD_BUT_GOOD: list[tuple[str, bytes]] = [
    ("only what is required", without("type", "user_id", "terminal_id", "source")),
    ("nulls for what may be absent", message(user_id=None, terminal_id=None, source=None)),
    ("integer ids", message(transaction_id=1, user_id=2, terminal_id=3)),
    ("a genuine one", message(is_fraud=False)),
    ("known at once", message(known_at=GOOD["timestamp"])),
    ("seconds", message(known_at=1_743_600_000.25)),
    ("milliseconds", message(known_at=1_743_600_000_250)),
    ("a number in a string", message(known_at="1743600000")),
    ("an offset", message(known_at="2025-04-03T10:30:00+02:00")),
    ("an escaped name", message().replace(b"is_fraud", b"is\\u005ffraud")),
    ("64 levels", with_more(b'"x": ' + b"[" * 63 + b"]" * 63)),
    ("the same name further down", message(note={"is_fraud": 1})),
    ("256 wide characters", message(source="\u20ac" * 256)),
]


def rows_of(labels: Labels) -> list[tuple[Any, ...]]:
    columns = (
        labels.message_index.tolist(),
        labels.transaction_id,
        labels.user_id,
        labels.terminal_id,
        labels.source,
        labels.event_time_us.tolist(),
        labels.known_at_us.tolist(),
        labels.is_fraud.tolist(),
        labels.transaction_key.tolist(),
        labels.terminal_key.tolist(),
    )
    return list(zip(*columns, strict=True))


@pytest.mark.parametrize(
    ("value", "reason", "field"), [case[1:] for case in POISON], ids=[case[0] for case in POISON]
)
def test_a_bad_label_gets_its_reason(
    value: bytes | None, reason: Reason, field: str | None
) -> None:
    labels, bad = DECODER.decode([value], LATEST_US)
    assert rows_of(labels) == []
    assert [(b.message_index, b.reason, b.field) for b in bad] == [(0, reason, field)]
    assert bad[0].detail.endswith(".")
    assert len(bad[0].detail) < 160
    assert field is None or f"`{field}`" in bad[0].detail


def test_every_reason_but_those_of_amounts_is_in_the_table() -> None:
    of_transactions = {Reason.NOT_A_TRANSACTION, Reason.NEGATIVE_AMOUNT, Reason.FINER_THAN_A_CENT}
    assert {case[2] for case in POISON} == set(Reason) - of_transactions


def test_a_sentence_says_what_was_expected() -> None:
    _, bad = DECODER.decode([message(is_fraud=1), message(type="transaction")], LATEST_US)
    assert [b.detail for b in bad] == [
        "`is_fraud` must be true or false, not `int`.",
        '`type` is not "label"; nothing else belongs in this topic.',
    ]


@pytest.mark.parametrize(
    "value", [case[1] for case in ODD_BUT_GOOD], ids=[case[0] for case in ODD_BUT_GOOD]
)
def test_an_odd_label_is_good(value: bytes) -> None:
    labels, bad = DECODER.decode([value], LATEST_US)
    assert bad == []
    assert labels.message_index.tolist() == [0]


def test_a_good_label_becomes_a_row() -> None:
    labels, _ = DECODER.decode([message(user_id=42)], LATEST_US)
    times_us = 1_743_508_800_000_000, 1_743_669_000_000_001
    assert rows_of(labels)[0][:8] == (0, "t1", "42", "m1", "chargeback", *times_us, True)


def test_what_is_absent_is_none_and_has_key_0() -> None:
    labels, _ = DECODER.decode([without("user_id", "terminal_id", "source")], LATEST_US)
    assert (labels.user_id, labels.terminal_id, labels.source) == ([None], [None], [None])
    assert labels.terminal_key.tolist() == [0]


@pytest.mark.parametrize("timestamp", ["2025-04-01T12:00:00.250Z", 1_743_508_800_250])
@pytest.mark.parametrize("terminal_id", ["m1", 17, None])
def test_a_label_has_the_keys_of_its_transaction(
    timestamp: str | int, terminal_id: str | int | None
) -> None:
    shared = {"transaction_id": 7, "terminal_id": terminal_id, "timestamp": timestamp}
    payment = json.dumps({**shared, "user_id": "u1", "amount": 1}).encode()
    labels, _ = DECODER.decode([message(**shared)], LATEST_US)
    transactions, _ = TransactionDecoder().decode([payment], LATEST_US)
    for name in ("terminal_key", "event_time_us", "transaction_key"):
        assert getattr(labels, name).tolist() == getattr(transactions, name).tolist()


def test_bad_neighbours_change_nothing() -> None:
    good = [value for _, value in ODD_BUT_GOOD]
    bad = [case[1] for case in POISON]
    mixed = [value for pair in zip(good * 5, bad, strict=False) for value in pair]
    together, dead = DECODER.decode(mixed, LATEST_US)
    alone = [rows_of(DECODER.decode([value], LATEST_US)[0])[0] for value in mixed[0::2]]
    assert [row[1:] for row in rows_of(together)] == [row[1:] for row in alone]
    assert together.message_index.tolist() == list(range(0, len(mixed), 2))
    assert [b.message_index for b in dead] == list(range(1, len(mixed), 2))
    assert [b.reason for b in dead] == [case[2] for case in POISON]


@settings(deadline=None)  # the first example compiles the kernels
@given(st.lists(st.tuples(st.integers(0, 250), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_damaged_label_is_read_or_refused_but_never_lost(edits: list[tuple[int, int]]) -> None:
    value = bytearray(message(note="n"))
    for place, byte in edits:
        value[place % len(value)] = byte
    labels, bad = DECODER.decode([message(), bytes(value), None], LATEST_US)
    places = labels.message_index.tolist() + [b.message_index for b in bad]
    assert sorted(places) == [0, 1, 2]


def test_no_card_number_gets_into_a_detail() -> None:
    card = "4111 1111 1111 1111"
    values = [message(known_at=card), message(timestamp=4111111111111111)]
    _, bad = DECODER.decode(values, LATEST_US)
    assert len(bad) == len(values)
    assert not [b for b in bad if "1111" in b.detail]


@pytest.mark.parametrize(
    "values",
    [
        [],
        [None],
        [message(), message()],
        [message(), message(known_at="2025-01-01"), message(known_at=1_743_600_000)],
        [message(timestamp=1, known_at=2), message(timestamp="1970-01-02", known_at="1970-01-03")],
    ],
    ids=["empty", "only bad ones", "good ones", "some taken out", "forms mixed"],
)
def test_kernels_always_see_the_same_kind_of_arrays(values: list[bytes | None]) -> None:
    labels, _ = DECODER.decode(values, LATEST_US)
    numbers = "message_index", "event_time_us", "known_at_us", "transaction_key", "terminal_key"
    arrays = [getattr(labels, name) for name in numbers]
    assert {array.dtype for array in arrays} == {np.dtype(np.int64)}
    assert labels.is_fraud.dtype == np.bool_
    for array in (*arrays, labels.is_fraud):
        assert array.flags.c_contiguous
        assert array.flags.writeable


def test_rows_are_taken_by_a_mask() -> None:
    values = [message(transaction_id=name, user_id=None) for name in "abc"]
    labels, _ = DECODER.decode(values, LATEST_US)
    assert rows_of(labels.take(np.array([True, False, True]))) == rows_of(labels)[::2]
    assert labels.take(np.ones(3, np.bool_)) is labels
