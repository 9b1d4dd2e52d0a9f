import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flagpost.events import (
    UNKNOWN_BALANCE,
    FieldMapping,
    Reason,
    TransactionDecoder,
    Transactions,
    message_keys,
)

LATEST_US = 1_800_000_000_000_000
DECODER = TransactionDecoder()

GOOD = {
    "transaction_id": "t1",
    "timestamp": "2025-04-01T12:00:00Z",
    "user_id": "u1",
    "amount": 12.5,
    "terminal_id": "m1",
    "account_balance": 100,
}


def message(**changes: object) -> bytes:
    return json.dumps(GOOD | changes).encode()


def without(name: str) -> bytes:
    return json.dumps({key: value for key, value in GOOD.items() if key != name}).encode()


def with_text(name: str, text: str) -> bytes:
    """Write a value as it is, even where it is no JSON."""
    return message(**{name: "@"}).replace(b'"@"', text.encode("utf-8", "surrogatepass"))


def with_more(text: bytes) -> bytes:
    return message()[:-1] + b", " + text + b"}"


POISON: list[tuple[str, bytes | None, Reason, str | None]] = [
    ("tombstone", None, Reason.TOMBSTONE, None),
    ("empty", b"", Reason.EMPTY, None),
    ("only white space", b" \r\n", Reason.EMPTY, None),
    ("over a megabyte", message(note="x" * 1_000_000), Reason.TOO_LARGE, None),
    ("bad UTF-8 in an id", message(user_id="@").replace(b"@", b"\x80"), Reason.NOT_UTF8, None),
    ("bad UTF-8 elsewhere", with_more(b'"note": "\xff"'), Reason.NOT_UTF8, None),
    ("bad UTF-8 in a name", with_more(b'"\xff": 1'), Reason.NOT_UTF8, None),
    ("an encoded surrogate", with_text("user_id", '"\ud800"'), Reason.NOT_UTF8, None),
    ("UTF-16", message().decode().encode("utf-16"), Reason.NOT_UTF8, None),
    ("UTF-16 without a mark", message().decode().encode("utf-16-le"), Reason.NOT_JSON, None),
    ("byte order mark", b"\xef\xbb\xbf" + message(), Reason.NOT_JSON, None),
    ("no JSON", b"hello", Reason.NOT_JSON, None),
    ("cut short", message()[:-5], Reason.NOT_JSON, None),
    ("trailing garbage", message() + b" x", Reason.NOT_JSON, None),
    ("two objects", message() + message(), Reason.NOT_JSON, None),
    ("NaN", with_text("amount", "NaN"), Reason.NOT_JSON, None),
    ("Infinity", with_text("amount", "Infinity"), Reason.NOT_JSON, None),
    ("-Infinity", with_text("account_balance", "-Infinity"), Reason.NOT_JSON, None),
    ("NaN in another field", with_more(b'"note": NaN'), Reason.NOT_JSON, None),
    ("a raw NUL", with_text("user_id", '"u\0"'), Reason.NOT_JSON, None),
    ("a lone surrogate", with_text("user_id", '"\\ud800"'), Reason.NOT_JSON, None),
    ("a lone low surrogate", with_text("user_id", '"\\udc00 and more"'), Reason.NOT_JSON, None),
    ("an array", b"[1, 2]", Reason.NOT_AN_OBJECT, None),
    ("a string", b'"hello"', Reason.NOT_AN_OBJECT, None),
    ("a number", b"17", Reason.NOT_AN_OBJECT, None),
    ("null", b"null", Reason.NOT_AN_OBJECT, None),
    ("100,000 brackets", b"[" * 100_000, Reason.NOT_AN_OBJECT, None),
    ("100,000 brackets inside", with_more(b'"x": ' + b"[" * 100_000), Reason.TOO_DEEP, None),
    ("65 levels", with_more(b'"x": ' + b"[" * 64 + b"]" * 64), Reason.TOO_DEEP, None),
    ("amount twice", with_more(b'"amount": 1'), Reason.DUPLICATE_FIELD, "amount"),
    ("unread twice", with_more(b'"x": 1, "y": 2, "x": 1'), Reason.DUPLICATE_FIELD, "x"),
    ("twice by escape", with_more(b'"user\\u005fid": "u2"'), Reason.DUPLICATE_FIELD, "user_id"),
    ("twice among many", with_more(b", ".join(b'"n%d": 1' % (i % 80) for i in range(81))),
     Reason.DUPLICATE_FIELD, "n0"),
    ("a label", message(type="label"), Reason.NOT_A_TRANSACTION, "type"),
    ("a type that is none", message(type=1), Reason.NOT_A_TRANSACTION, "type"),
    ("no id", without("transaction_id"), Reason.MISSING_FIELD, "transaction_id"),
    ("no time", without("timestamp"), Reason.MISSING_FIELD, "timestamp"),
    ("no user", without("user_id"), Reason.MISSING_FIELD, "user_id"),
    ("no amount", without("amount"), Reason.MISSING_FIELD, "amount"),
    ("nothing at all", b"{}", Reason.MISSING_FIELD, "transaction_id"),
    ("null user", message(user_id=None), Reason.MISSING_FIELD, "user_id"),
    ("null amount", message(amount=None), Reason.MISSING_FIELD, "amount"),
    ("boolean id", message(transaction_id=True), Reason.WRONG_TYPE, "transaction_id"),
    ("fraction as id", message(user_id=1.5), Reason.WRONG_TYPE, "user_id"),
    ("list as id", message(terminal_id=["m1"]), Reason.WRONG_TYPE, "terminal_id"),
    ("boolean amount", message(amount=True), Reason.WRONG_TYPE, "amount"),
    ("amount in quotes", message(amount="12.50"), Reason.WRONG_TYPE, "amount"),
    ("boolean balance", message(account_balance=False), Reason.WRONG_TYPE, "account_balance"),
    ("boolean time", message(timestamp=True), Reason.WRONG_TYPE, "timestamp"),
    ("object as time", message(timestamp={}), Reason.WRONG_TYPE, "timestamp"),
    ("amount 1e999", with_text("amount", "1e999"), Reason.OUT_OF_RANGE, "amount"),
    ("time 1e999", with_text("timestamp", "1e999"), Reason.OUT_OF_RANGE, "timestamp"),
    ("amount of 5,000 digits", with_text("amount", "9" * 5000), Reason.OUT_OF_RANGE, "amount"),
    ("id of 5,000 digits", with_text("user_id", "9" * 5000), Reason.OUT_OF_RANGE, "user_id"),
    ("time of 5,000 digits", with_text("timestamp", "9" * 5000), Reason.OUT_OF_RANGE, "timestamp"),
    ("absurd amount", message(amount=1_000_000_000.01), Reason.OUT_OF_RANGE, "amount"),
    ("amount 1e308", message(amount=1e308), Reason.OUT_OF_RANGE, "amount"),
    ("absurd balance", message(account_balance=-1.1e12), Reason.OUT_OF_RANGE, "account_balance"),
    ("an escaped NUL", message(user_id="u\0"), Reason.BAD_TEXT, "user_id"),
    ("only a NUL", message(terminal_id="\0"), Reason.BAD_TEXT, "terminal_id"),
    ("empty id", message(transaction_id=""), Reason.EMPTY_ID, "transaction_id"),
    ("empty terminal", message(terminal_id=""), Reason.EMPTY_ID, "terminal_id"),
    ("long id", message(user_id="x" * 257), Reason.ID_TOO_LONG, "user_id"),
    ("id of 300 digits", message(user_id=10**300), Reason.ID_TOO_LONG, "user_id"),
    ("negative amount", message(amount=-0.01), Reason.NEGATIVE_AMOUNT, "amount"),
    ("half a cent", message(amount=12.345), Reason.FINER_THAN_A_CENT, "amount"),
    ("a tiny amount", message(amount=1e-300), Reason.FINER_THAN_A_CENT, "amount"),
    ("30 February", message(timestamp="2025-02-30T00:00:00Z"), Reason.BAD_TIMESTAMP, "timestamp"),
    ("words as time", message(timestamp="yesterday"), Reason.BAD_TIMESTAMP, "timestamp"),
    ("empty time", message(timestamp=""), Reason.BAD_TIMESTAMP, "timestamp"),
    ("huge time", message(timestamp=10**300), Reason.BAD_TIMESTAMP, "timestamp"),
    ("1969", message(timestamp="1969-12-31T23:59:59Z"), Reason.BEFORE_1970, "timestamp"),
    ("negative time", message(timestamp=-1), Reason.BEFORE_1970, "timestamp"),
    ("a later year", message(timestamp="2027-02-01"), Reason.IN_THE_FUTURE, "timestamp"),
    ("microseconds", message(timestamp=1_700_000_000_000_000), Reason.IN_THE_FUTURE, "timestamp"),
]  # fmt: skip

ODD_BUT_GOOD: list[tuple[str, bytes]] = [
    ("integer ids", message(transaction_id=1, user_id=2, terminal_id=3)),
    ("zero", message(amount=0)),
    ("minus zero", message(amount=-0.0)),
    ("the largest amount", message(amount=1e9)),
    ("an overdrawn account", message(account_balance=-17.23)),
    ("nulls for what may be absent", message(terminal_id=None, account_balance=None, type=None)),
    ("its type", message(type="transaction")),
    ("an escaped name", message().replace(b"user_id", b"user\\u005fid")),
    ("escapes in values", message(user_id='u"\\\n\u00e9\U0001f600')),
    ("raw UTF-8", json.dumps(GOOD | {"user_id": "\u00e9\U0001f600"}, ensure_ascii=False).encode()),
    ("256 wide characters", message(user_id="\u20ac" * 256)),
    ("the same name further down", message(note={"amount": 1, "more": {"amount": 2}})),
    ("64 levels", with_more(b'"x": ' + b"[" * 63 + b"]" * 63)),
    ("brackets in a string", message(note="[" * 100)),
    ("many flat lists", message(note=[[]] * 100)),
    ("100 fields", message(**{f"n{i}": i for i in range(100)})),
    ("1e999 where nobody reads", with_more(b'"x": 1e999')),
    ("1970 itself", message(timestamp="1970-01-01T00:00:00Z")),
    ("the latest time", message(timestamp=LATEST_US // 1_000_000)),
]


def rows_of(transactions: Transactions) -> list[tuple[Any, ...]]:
    return list(
        zip(
            transactions.message_index.tolist(),
            transactions.transaction_id,
            transactions.user_id,
            transactions.terminal_id,
            transactions.event_time_us.tolist(),
            transactions.amount_cents.tolist(),
            transactions.account_balance_cents.tolist(),
            transactions.transaction_key.tolist(),
            transactions.user_key.tolist(),
            transactions.terminal_key.tolist(),
            strict=True,
        )
    )


@pytest.mark.parametrize(
    ("value", "reason", "field"), [case[1:] for case in POISON], ids=[case[0] for case in POISON]
)
def test_a_bad_message_gets_its_reason(
    value: bytes | None, reason: Reason, field: str | None
) -> None:
    transactions, bad = DECODER.decode([value], LATEST_US)
    assert len(transactions.message_index) == 0
    assert [(b.message_index, b.reason, b.field) for b in bad] == [(0, reason, field)]
    assert bad[0].detail.endswith(".")
    assert len(bad[0].detail) < 160
    assert field is None or f"`{field}`" in bad[0].detail


def test_every_reason_is_in_the_table() -> None:
    assert {case[2] for case in POISON} == set(Reason) - {
        Reason.NOT_A_LABEL,
        Reason.KNOWN_TOO_EARLY,
    }


@pytest.mark.parametrize(
    "value", [case[1] for case in ODD_BUT_GOOD], ids=[case[0] for case in ODD_BUT_GOOD]
)
def test_an_odd_message_is_good(value: bytes) -> None:
    transactions, bad = DECODER.decode([value], LATEST_US)
    assert bad == []
    assert transactions.message_index.tolist() == [0]


def test_a_good_message_becomes_a_row() -> None:
    transactions, _ = DECODER.decode([message(account_balance=-3.005, user_id=42)], LATEST_US)
    row = rows_of(transactions)[0]
    assert row[:7] == (0, "t1", "42", "m1", 1_743_508_800_000_000, 1250, -300)


def test_what_is_absent_has_its_own_value() -> None:
    value = message(terminal_id=None, account_balance=None)
    transactions, _ = DECODER.decode([value], LATEST_US)
    assert list(transactions.terminal_id) == [None]
    assert transactions.terminal_key.tolist() == [0]
    assert transactions.account_balance_cents.tolist() == [UNKNOWN_BALANCE]


def test_an_empty_batch_is_empty() -> None:
    transactions, bad = DECODER.decode([], LATEST_US)
    assert rows_of(transactions) == []
    assert bad == []


def test_bad_neighbours_change_nothing() -> None:
    good = [value for _, value in ODD_BUT_GOOD]
    bad = [case[1] for case in POISON]
    mixed = [value for pair in zip(good * 5, bad, strict=False) for value in pair]
    alone, _ = DECODER.decode(mixed[0::2], LATEST_US)
    together, dead = DECODER.decode(mixed, LATEST_US)
    assert [row[1:] for row in rows_of(together)] == [row[1:] for row in rows_of(alone)]
    assert together.message_index.tolist() == list(range(0, len(mixed), 2))
    assert [b.message_index for b in dead] == list(range(1, len(mixed), 2))
    assert [b.reason for b in dead] == [case[2] for case in POISON]


@settings(deadline=None)  # the first example compiles the kernels
@given(cents=st.integers(0, 100_000_000_000))
def test_an_amount_is_exact_to_the_cent(cents: int) -> None:
    value = with_text("amount", str(Decimal(cents) / 100))
    transactions, _ = DECODER.decode([value], LATEST_US)
    assert transactions.amount_cents.tolist() == [cents]


@settings(deadline=None)  # the first example compiles the kernels
@given(tenths=st.integers(0, 1_000_000_000_000).filter(lambda tenths: tenths % 10))
def test_an_amount_finer_than_a_cent_is_bad(tenths: int) -> None:
    _, bad = DECODER.decode([with_text("amount", str(Decimal(tenths) / 1000))], LATEST_US)
    assert [b.reason for b in bad] == [Reason.FINER_THAN_A_CENT]


MOMENTS = st.datetimes(
    min_value=datetime(1970, 1, 2),  # noqa: DTZ001  # hypothesis adds the zone
    max_value=datetime(2026, 12, 31),  # noqa: DTZ001
    timezones=st.just(UTC),
)
OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
IDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)


@st.composite
def timestamps(draw: st.DrawFn) -> tuple[str | int | float, int]:
    """Draw a timestamp in any form, with what it means in microseconds."""
    moment = draw(MOMENTS)
    whole = moment.replace(microsecond=0)
    seconds = int(whole.timestamp())
    thousandths = moment.microsecond // 1000
    microseconds = seconds * 1_000_000 + moment.microsecond
    forms: list[tuple[str | int | float, int]] = [
        (moment.isoformat().replace("+00:00", "Z"), microseconds),
        (moment.astimezone(draw(OFFSETS)).isoformat(draw(st.sampled_from("T "))), microseconds),
        (moment.replace(tzinfo=None).isoformat(draw(st.sampled_from("T "))), microseconds),
        (seconds, seconds * 1_000_000),
        (seconds + thousandths / 1000, seconds * 1_000_000 + thousandths * 1000),
        (str(seconds), seconds * 1_000_000),
    ]
    if seconds * 1000 >= 100_000_000_000:
        forms.append((seconds * 1000 + thousandths, seconds * 1_000_000 + thousandths * 1000))
    return draw(st.sampled_from(forms))


@st.composite
def transactions(draw: st.DrawFn) -> tuple[bytes, tuple[Any, ...]]:
    """Draw a valid transaction, with the row that it must become."""
    time, time_us = draw(timestamps())
    transaction_id, user_id = draw(IDS | st.integers(0, 2**70)), draw(IDS | st.integers(-5, 5))
    terminal_id = draw(st.none() | IDS)
    cents, balance = draw(st.integers(0, 10**11)), draw(st.none() | st.integers(-(10**9), 10**9))
    fields = [
        ("transaction_id", transaction_id),
        ("timestamp", time),
        ("user_id", user_id),
        ("amount", cents / 100),
        ("terminal_id", terminal_id),
        ("account_balance", None if balance is None else balance / 100),
        ("note", draw(st.text(st.characters(exclude_categories=["Cs"])))),
    ]
    is_ascii, indent = draw(st.booleans()), draw(st.none() | st.just(1))
    value = json.dumps(dict(draw(st.permutations(fields))), ensure_ascii=is_ascii, indent=indent)
    known_balance = UNKNOWN_BALANCE if balance is None else balance
    row = (str(transaction_id), str(user_id), terminal_id, time_us, cents, known_balance)
    return value.encode(), row


@settings(deadline=None)  # the first example compiles the kernels
@given(st.lists(transactions(), max_size=8))
def test_any_valid_transaction_becomes_the_row_that_it_says(
    cases: list[tuple[bytes, tuple[Any, ...]]],
) -> None:
    decoded, bad = DECODER.decode([value for value, _ in cases], LATEST_US)
    assert bad == []
    assert [row[1:7] for row in rows_of(decoded)] == [row for _, row in cases]


@settings(deadline=None)  # the first example compiles the kernels
@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_damaged_message_is_read_or_refused_but_never_lost(edits: list[tuple[int, int]]) -> None:
    value = bytearray(message(note="n", type="transaction"))
    for place, byte in edits:
        value[place % len(value)] = byte
    decoded, bad = DECODER.decode([message(), bytes(value), None], LATEST_US)
    places = decoded.message_index.tolist() + [b.message_index for b in bad]
    assert sorted(places) == [0, 1, 2]


def test_no_card_number_gets_into_a_detail() -> None:
    card = "4111 1111 1111 1111"
    values = [
        message(timestamp=card),
        message(timestamp=4111111111111111),
        with_more(f'"{card}": 1, "{card}": 2'.encode()),
    ]
    _, bad = DECODER.decode(values, LATEST_US)
    assert len(bad) == len(values)
    assert not [b for b in bad if "1111" in b.detail or "1111" in (b.field or "")]


def test_a_mapping_renames_and_fills_fields() -> None:
    mapping = FieldMapping(
        {"user_id": "devideId", "timestamp": "logTimestamp", "type": "record_type"},
        {"terminal_id": "app"},
    )
    value = json.dumps(
        {"transaction_id": 7, "logTimestamp": 1_700_000_000_123, "devideId": "d", "amount": 1,
         "type": "PAYMENT", "user_id": False, "terminal_id": [], "nested": {"devideId": 1}}
    ).encode()  # fmt: skip
    decoder = TransactionDecoder(mapping)
    decoded, bad = decoder.decode([value, value.replace(b'"d"', b'""')], LATEST_US)
    assert [row[1:5] for row in rows_of(decoded)] == [("7", "d", "app", 1_700_000_000_123_000)]
    assert [(b.reason, b.field) for b in bad] == [(Reason.EMPTY_ID, "devideId")]


def test_the_key_of_a_message_is_its_user() -> None:
    values = [
        message(),
        None,
        b"[",
        message(user_id=17),
        without("user_id"),
        message(user_id="\u20ac"),
    ]
    assert message_keys(values) == [b"u1", None, None, b"17", None, "\u20ac".encode()]
    assert message_keys([b'{"who": "x"}'], FieldMapping({"user_id": "who"})) == [b"x"]
    assert message_keys([b"{}", b"["], FieldMapping(constants={"user_id": "all"})) == [b"all", None]


def test_the_columns_have_their_types() -> None:
    decoded, _ = DECODER.decode([message(), b"", message()], LATEST_US)
    arrays = [getattr(decoded, name) for name in ("message_index", "event_time_us", "amount_cents")]
    assert {array.dtype for array in arrays} == {np.dtype(np.int64)}
