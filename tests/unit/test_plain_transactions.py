"""The fast way and the slow way give the same rows and refuse the same messages."""

import json
from collections.abc import Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flagpost.byte_words import in_a_row
from flagpost.events import FieldMapping, TransactionDecoder
from flagpost.plain_times import UNREADABLE_TIME, read_plain_time
from flagpost.plain_transactions import PlainReader

LATEST_US = int(datetime(2030, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
GOOD = (
    b'{"transaction_id":"TX1","timestamp":"2025-01-03T18:18:23Z","user_id":"C1","terminal_id":"T1",'
    b'"amount":230.55,"account_balance":-20020.38,"merchant_category":"travel","is_online":false}'
)

FAST = TransactionDecoder()
SLOW = TransactionDecoder()
SLOW._plain = None

IDS = ['"A1"', '"ü€𝄞"', '""', '"' + "x" * 257 + '"', '"a\\u0041"', '"\\ud800"', '"a\tb"', "7",
       "007", "0", "-0", "-7", "123456789012345678", "12345678901234567890", "1.5", "null", "true",
       '"a\\"b"', '"\x7f"', '"\\u0000"', "[]", "{}"]  # fmt: skip
TIMES = ['"2025-01-03T18:18:23Z"', '"2025-01-03 18:18:23"', '"2025-01-03T18:18:23.123456Z"',
         '"2025-01-03T18:18:23.1"', '"2025-01-03T18:18:23.1234567Z"', '"2025-01-03T18:18:23+05:30"',
         '"2025-01-03T18:18:23-0530"', '"2024-02-29T00:00:00Z"', '"2025-02-29T00:00:00Z"',
         '"2025-01-03T24:00:00Z"', '"2025-01-03T18:18:60Z"', '"2025-01-03T18:18Z"', '"2025-01-03"',
         '"1969-12-31T23:59:59Z"', '"2030-01-01T00:00:00.000001Z"', '"1735928303"', "1735928303",
         "1735928303000", "1735928303.25", "99999999999", "100000000000", "-1", "9e15", "1e3",
         "9000000000000", "8999999999999", "null", '"now"', '"2025-13-03T18:18:23Z"',
         '"2025-01-03T18:18:23.Z"', '"2025-01-03T18:18:23+24:00"', '"2025-01-03T18:18:23+00:60"',
         '"0000-01-03T18:18:23Z"', '"2025-01-00T18:18:23Z"', '"2025-01-03t18:18:23z"']  # fmt: skip
NUMBERS = ["0", "-0", "-0.0", "1", "1.5", "1.50", "1.505", "1.500", "0.01", "0.005", "1000000000",
           "1000000000.01", "999999999.99", "1000000000000", "1000000000000.01", "-1000000000000",
           "-12.34", "1e2", "1E-2", "NaN", "Infinity", "1e999", "01", "1.", ".5", "+1", "--1",
           "999999999999999999", "9999999999999999999", "0.000000000000000001", "null", "true",
           '"1"', "123456789012345.67", "1.0000000000000000001", "[1]"]  # fmt: skip
NAMES = ["transaction_id", "timestamp", "user_id", "terminal_id", "amount", "account_balance",
         "type", "note", "", "amoun", "amount2", "\\u0061mount", "ünique"]  # fmt: skip
TYPES = ['"transaction"', '"label"', "null", "1", '"transactions"', '"transactio"']
SPACES = ["", "", "", " ", "  ", "\t", "\r\n", "\f"]

CHOICES: dict[str, Sequence[str]] = {
    "transaction_id": IDS, "user_id": IDS, "terminal_id": IDS, "timestamp": TIMES,
    "amount": NUMBERS, "account_balance": NUMBERS, "type": TYPES,
}  # fmt: skip
LIKELY = {
    "transaction_id": '"TX1"', "user_id": '"C1"', "timestamp": '"2025-01-03T18:18:23Z"',
    "amount": "230.55",
}  # fmt: skip


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """Objects that are nearly right: odd values, fields twice or absent, white space, damage."""
    values = dict(LIKELY)
    for name in draw(st.lists(st.sampled_from(sorted(CHOICES)), max_size=3)):
        values[name] = draw(st.sampled_from(CHOICES[name]))
    pairs = draw(st.permutations(sorted(values.items())))
    if draw(st.integers(0, 3)) == 0:
        name = draw(st.sampled_from(NAMES))
        pairs.append((name, draw(st.sampled_from(CHOICES.get(name, IDS + NUMBERS)))))
    if draw(st.integers(0, 5)) == 0:
        pairs.pop(draw(st.integers(0, len(pairs) - 1)))

    def space() -> str:
        return draw(st.sampled_from(SPACES))

    inside = ",".join(
        f'{space()}"{name}"{space()}:{space()}{value}{space()}' for name, value in pairs
    )
    text = bytearray(f"{space()}{{{inside}}}{space()}".encode())
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        text[draw(st.integers(0, len(text) - 1))] = draw(st.integers(0, 255))
    return bytes(text)


def columns_of(decoder: TransactionDecoder, values: Sequence[bytes | None]) -> dict[str, Any]:
    transactions, bad = decoder.decode(values, LATEST_US)
    columns = {
        field.name: list(getattr(transactions, field.name)) for field in fields(transactions)
    }
    return columns | {"bad": sorted(bad, key=lambda message: message.message_index)}


def plainness(values: Sequence[bytes | None]) -> list[bool]:
    text, offsets = in_a_row(values)
    is_plain: list[bool] = PlainReader(str).read(text, offsets)[1].tolist()
    return is_plain


@settings(max_examples=1_500, deadline=None)
@given(st.lists(messages(), min_size=1, max_size=5))
@example([GOOD, GOOD.replace(b"amount", b"user_id"), GOOD, GOOD.replace(b"type", b"amount")])
def test_both_ways_agree_on_every_message(values: list[bytes]) -> None:
    assert columns_of(FAST, values) == columns_of(SLOW, values)


@pytest.mark.parametrize("name", CHOICES)
def test_both_ways_agree_on_every_odd_value(name: str) -> None:
    values = []
    for value in CHOICES[name]:
        pairs = LIKELY | {name: value}
        values.append(("{" + ",".join(f'"{k}":{v}' for k, v in pairs.items()) + "}").encode())
    assert columns_of(FAST, values) == columns_of(SLOW, values)


@settings(deadline=None)
@given(st.datetimes(datetime(1970, 1, 2), datetime(2029, 1, 1)), st.integers(-1439, 1439))  # noqa: DTZ001 - the offset is drawn
def test_a_plain_time_is_the_time_that_it_says(local: datetime, offset_minutes: int) -> None:
    moment = local.replace(tzinfo=timezone(timedelta(minutes=offset_minutes)))
    text = np.frombuffer(moment.isoformat().encode(), np.uint8)
    since_1970 = moment - datetime(1970, 1, 1, tzinfo=UTC)
    assert read_plain_time(text, 0, text.size) == since_1970 // timedelta(microseconds=1)


def test_what_is_no_time_is_not_read_as_one() -> None:
    text = np.frombuffer(b"2025-01-03T18:18:2xZ", np.uint8)
    assert read_plain_time(text, 0, text.size) == UNREADABLE_TIME


def test_common_messages_go_the_fast_way() -> None:
    spaced = json.dumps(json.loads(GOOD)).encode()
    pretty = json.dumps(json.loads(GOOD), indent=2).encode()
    fewer = b'{"amount":1,"user_id":2,"timestamp":1735928303000,"transaction_id":3}'
    typed = GOOD.replace(b'"is_online"', b'"type":"transaction","is_online"')
    assert plainness([GOOD, spaced, pretty, fewer, typed, GOOD]) == [True] * 6


def test_a_message_that_says_anything_twice_is_not_plain() -> None:
    twice = GOOD.replace(b"merchant_category", b"is_online")
    first_twice = b'{"a":1,' + GOOD[1:-1] + b',"a":2}'
    assert plainness([GOOD, twice, GOOD, first_twice, GOOD]) == [True, False, True, False, True]


def test_a_message_with_more_than_64_fields_is_not_plain() -> None:
    def with_more(n: int) -> bytes:
        return GOOD[:-1] + b"".join(b',"f%d":0' % i for i in range(n)) + b"}"

    assert plainness([with_more(64 - 8), with_more(65 - 8)]) == [True, False]


def test_the_fast_way_reads_renamed_fields() -> None:
    mapping = FieldMapping({"user_id": "devideId", "amount": "värde"})
    value = GOOD.replace(b"user_id", b"devideId").replace(b"amount", "värde".encode())
    text, offsets = in_a_row([value])
    transactions, is_plain = PlainReader(mapping.source_name).read(text, offsets)
    assert is_plain.all()
    assert list(transactions.user_id) == ["C1"]
    assert transactions.amount_cents.tolist() == [23055]


def test_good_and_odd_messages_keep_their_order() -> None:
    odd = GOOD.replace(b"TX1", b"T\\u0058" + b"2")
    transactions, bad = FAST.decode([GOOD, odd, None, b"{", GOOD], LATEST_US)
    assert list(transactions.transaction_id) == ["TX1", "TX2", "TX1"]
    assert transactions.message_index.tolist() == [0, 1, 4]
    assert [message.message_index for message in bad] == [2, 3]
