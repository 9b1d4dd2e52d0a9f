"""The fast way from bytes to columns, for messages of the plain form that nearly all have.

A plain message is a flat JSON object: no escapes, no exponents, nothing nested, no field twice,
times as in `plain_times`, amounts of at most two decimal places. Such a message is read here, or
left to the slow way in `events`; both give the same columns, and only the slow way refuses one.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flagpost.compiled import compiled
from flagpost.event_columns import UNKNOWN_BALANCE, Transactions
from flagpost.event_keys import MAX_ID_CHARACTERS, hash_text
from flagpost.event_times import FIRST_MILLISECONDS
from flagpost.inspection import MAX_ACCOUNT_BALANCE, MAX_AMOUNT, MAX_MESSAGE_BYTES
from flagpost.plain_json import (
    DECIMAL,
    INTEGER,
    NOT_PLAIN,
    NULL,
    STRING,
    Bytes,
    end_of_string,
    is_at,
    read_value,
    skip_space,
)
from flagpost.plain_times import UNREADABLE_TIME, read_plain_time
from flagpost.texts import SpanTexts

Int64s = NDArray[np.int64]

FIELDS = (
    "transaction_id", "user_id", "terminal_id", "timestamp", "amount", "account_balance", "type",
)  # fmt: skip
_TRANSACTION_ID, _USER_ID, _TERMINAL_ID, _TIMESTAMP, _AMOUNT, _BALANCE, _TYPE = range(len(FIELDS))
_OTHER = len(FIELDS)
_REQUIRED = 1 << _TRANSACTION_ID | 1 << _USER_ID | 1 << _TIMESTAMP | 1 << _AMOUNT
_IDS = 3

_MAX_FIELDS = 64
_MAX_AMOUNT_CENTS = round(100 * MAX_AMOUNT)
_MAX_BALANCE_CENTS = round(100 * MAX_ACCOUNT_BALANCE)
_NO_CENTS = np.iinfo(np.int64).min
_FIRST_MILLISECONDS, _LAST_MILLISECONDS = int(FIRST_MILLISECONDS), 9 * 10**12
_OPEN, _CLOSE, _QUOTE, _COLON, _COMMA, _MINUS = (ord(c) for c in '{}":,-')
_KIND = np.frombuffer(b"transaction", np.uint8)


class _Layout(NamedTuple):
    """The field names of the message before: the next one has them in the same order, mostly.

    The first `n_known[0]` are distinct: where each begins, its length, and which of FIELDS it is.
    """

    start: Int64s
    length: Int64s
    field: Int64s
    n_known: Int64s


class _Rows(NamedTuple):
    """What is read of n messages."""

    spans: Int64s  # (n, 6): where the three ids begin and end; empty where absent
    keys: Int64s  # (n, 3): their hashes; 0 where absent
    event_time_us: Int64s
    amount_cents: Int64s
    balance_cents: Int64s


class PlainReader:
    """Reads plain messages; build it once, with the sender's name of each of FIELDS."""

    def __init__(self, source_name: Callable[[str], str]) -> None:
        encoded = [source_name(field).encode() for field in FIELDS]
        self._names = np.frombuffer(b"".join(encoded), np.uint8)
        self._name_ends = np.cumsum([0, *map(len, encoded)])

    def read(self, text: Bytes, offsets: Int64s) -> tuple[Transactions, NDArray[np.bool_]]:
        """Read what is plain of n messages.

        Args:
            text: their bytes in a row.
            offsets: (n + 1,) where each begins, and where the last one ends.

        Returns:
            Columns of all n, and (n,) which of them are plain: the other rows mean nothing.
        """
        n = len(offsets) - 1
        is_plain = np.zeros(n, np.bool_)
        rows = _Rows(
            spans=np.zeros((n, 2 * _IDS), np.int64),
            keys=np.zeros((n, _IDS), np.int64),
            event_time_us=np.zeros(n, np.int64),
            amount_cents=np.zeros(n, np.int64),
            balance_cents=np.full(n, UNKNOWN_BALANCE),
        )
        start, length, field = np.zeros((3, _MAX_FIELDS), np.int64)
        layout = _Layout(start, length, field, np.zeros(1, np.int64))
        _read_all(text, offsets, self._names, self._name_ends, layout, rows, is_plain)
        content = memoryview(text.data)
        spans = rows.spans.T
        texts = [SpanTexts(content, spans[2 * i], spans[2 * i + 1]) for i in range(_IDS)]
        transaction_key, user_key, terminal_key = np.ascontiguousarray(rows.keys.T)
        transactions = Transactions(
            message_index=np.arange(n),
            transaction_id=texts[_TRANSACTION_ID],
            user_id=texts[_USER_ID],
            terminal_id=texts[_TERMINAL_ID],
            event_time_us=rows.event_time_us,
            amount_cents=rows.amount_cents,
            account_balance_cents=rows.balance_cents,
            transaction_key=transaction_key,
            user_key=user_key,
            terminal_key=terminal_key,
        )
        return transactions, is_plain


@compiled
def _read_all(
    text: Bytes, offsets: Int64s, names: Bytes, name_ends: Int64s,
    layout: _Layout, rows: _Rows, is_plain: NDArray[np.bool_],
) -> None:  # fmt: skip
    for row in range(is_plain.size):
        at, end = offsets[row], offsets[row + 1]
        is_plain[row] = end - at <= MAX_MESSAGE_BYTES and _read_message(
            text, at, end, names, name_ends, layout, rows, row
        )


@compiled
def _read_message(
    text: Bytes, at: int, end: int, names: Bytes, name_ends: Int64s,
    layout: _Layout, rows: _Rows, row: int,
) -> bool:  # fmt: skip
    if at == end or text[at] != _OPEN:
        return False
    read = 0
    for place in range(_MAX_FIELDS):
        field, at = _read_field(text, at + 1, end, names, name_ends, layout, place, rows, row)
        if field == NOT_PLAIN or at >= end:
            return False
        read |= 1 << field
        if text[at] != _COMMA:
            break
    is_closed = text[at] == _CLOSE and skip_space(text, at + 1, end) == end
    return bool(is_closed and read & _REQUIRED == _REQUIRED)


@compiled
def _read_field(
    text: Bytes, at: int, end: int, names: Bytes, name_ends: Int64s,
    layout: _Layout, place: int, rows: _Rows, row: int,
) -> tuple[int, int]:  # fmt: skip
    """Read a name and its value; return which field it is, or NOT_PLAIN, and what comes next."""
    start = skip_space(text, at, end) + 1
    at = (
        end_of_string(text, start, end) if start <= end and text[start - 1] == _QUOTE else NOT_PLAIN
    )
    if at == NOT_PLAIN:
        return NOT_PLAIN, end
    field = _field_at(text, start, at, names, name_ends, layout, place)
    at = skip_space(text, at + 1, end)
    if field == NOT_PLAIN or at >= end or text[at] != _COLON:
        return NOT_PLAIN, end
    start = skip_space(text, at + 1, end)
    kind, digits, n_fraction, at = read_value(text, start, end)
    if kind == NOT_PLAIN or not _take(text, start, at, field, kind, digits, n_fraction, rows, row):
        return NOT_PLAIN, end
    return field, skip_space(text, at, end)


@compiled
def _field_at(
    text: Bytes, start: int, end: int, names: Bytes, name_ends: Int64s, layout: _Layout, place: int
) -> int:
    """Return which field a name is that stands at a place; NOT_PLAIN if it stood before."""
    length = end - start
    if place < layout.n_known[0] and _is_same(text, start, length, layout, place):
        return layout.field[place]
    layout.n_known[0] = place
    for earlier in range(place):
        if _is_same(text, start, length, layout, earlier):
            return NOT_PLAIN
    field = 0
    while field < _OTHER and not (
        name_ends[field + 1] - name_ends[field] == length
        and is_at(text, start, end, names[name_ends[field] : name_ends[field + 1]])
    ):
        field += 1
    layout.start[place], layout.length[place], layout.field[place] = start, length, field
    layout.n_known[0] = place + 1
    return field


@compiled
def _is_same(text: Bytes, start: int, length: int, layout: _Layout, place: int) -> bool:
    if layout.length[place] != length:
        return False
    other = layout.start[place]
    for i in range(length):  # noqa: SIM110 - compiled, and kernels cannot make generators
        if text[start + i] != text[other + i]:
            return False
    return True


@compiled
def _take(
    text: Bytes, start: int, end: int, field: int, kind: int, digits: int, n_fraction: int,
    rows: _Rows, row: int,
) -> bool:  # fmt: skip
    """Store the value of a field; say whether it is a plain one."""
    if field < _IDS:
        return _take_id(text, start, end, field, kind, rows, row)
    if field == _TIMESTAMP:
        rows.event_time_us[row] = _time_us(text, start, end, kind, digits)
        return bool(rows.event_time_us[row] != UNREADABLE_TIME)
    if field == _AMOUNT:
        cents = _cents(kind, digits, n_fraction)
        rows.amount_cents[row] = cents
        return bool(0 <= cents <= _MAX_AMOUNT_CENTS and text[start] != _MINUS)
    if field == _BALANCE:
        cents = _cents(kind, digits, n_fraction)
        rows.balance_cents[row] = UNKNOWN_BALANCE if kind == NULL else cents
        return bool(kind == NULL or cents != _NO_CENTS)
    is_named = end - start == _KIND.size + 2 and is_at(text, start + 1, end, _KIND)
    return bool(field == _OTHER or kind == NULL or (kind == STRING and is_named))


@compiled
def _take_id(
    text: Bytes, start: int, end: int, field: int, kind: int, rows: _Rows, row: int
) -> bool:
    """Store an id; an integer is its digits, and a negative one is not plain."""
    if kind == NULL:
        return bool(field == _TERMINAL_ID)
    if kind == STRING:
        start, end = start + 1, end - 1
    elif kind != INTEGER or text[start] == _MINUS:
        return False
    rows.spans[row, 2 * field], rows.spans[row, 2 * field + 1] = start, end
    rows.keys[row, field] = hash_text(text, start, end)
    return bool(0 < end - start <= MAX_ID_CHARACTERS)


@compiled
def _time_us(text: Bytes, start: int, end: int, kind: int, digits: int) -> int:
    """Read a text, or whole seconds or milliseconds; microseconds, or UNREADABLE_TIME."""
    if kind == STRING:
        return read_plain_time(text, start + 1, end - 1)
    if kind != INTEGER or not 0 <= digits < _LAST_MILLISECONDS:
        return UNREADABLE_TIME
    return digits * (1_000 if digits >= _FIRST_MILLISECONDS else 1_000_000)


@compiled
def _cents(kind: int, digits: int, n_fraction: int) -> int:
    """Return a number in hundredths, or _NO_CENTS for a finer or a very large one."""
    is_number = kind in (INTEGER, DECIMAL)
    if not is_number or n_fraction > 2 or abs(digits) > _MAX_BALANCE_CENTS:
        return _NO_CENTS
    cents = digits * (100 if n_fraction == 0 else 10 if n_fraction == 1 else 1)
    return cents if abs(cents) <= _MAX_BALANCE_CENTS else _NO_CENTS
