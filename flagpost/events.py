"""The messages of the stream: what a transaction is, and how bytes become columns.

Three ways lead there, each slower than the one before and open to more. `plain_transactions` reads
what has the plain form, straight from the bytes. A typed decoder takes the others. And whatever
looks odd there is looked at closely, one message at a time, by `inspection.find_problem`.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from flagpost.bad_messages import BadMessage, Reason
from flagpost.byte_words import bytes_and_offsets
from flagpost.event_columns import UNKNOWN_BALANCE, Transactions, merged, to_columns
from flagpost.field_mapping import AS_DESIGNED, FieldMapping, load_mapping, struct_of
from flagpost.inspection import MAX_MESSAGE_BYTES, find_problem
from flagpost.plain_transactions import PlainReader
from flagpost.repeated_fields import find_repeated_fields

__all__ = [
    "AS_DESIGNED",
    "UNKNOWN_BALANCE",
    "BadMessage",
    "FieldMapping",
    "Partition",
    "Reason",
    "TransactionDecoder",
    "Transactions",
    "load_mapping",
    "message_keys",
]


class Partition(NamedTuple):
    """A partition of a Kafka topic."""

    topic: str
    number: int


class TransactionDecoder:
    """Decodes batches of raw messages; build it once, since it compiles the mapping."""

    def __init__(self, mapping: FieldMapping = AS_DESIGNED) -> None:
        self._mapping = mapping
        self._decode_one = msgspec.json.Decoder(struct_of(mapping)).decode
        self._plain = None if mapping.constants else PlainReader(mapping.source_name)

    def decode(
        self, values: Sequence[bytes | None], latest_event_time_us: int
    ) -> tuple[Transactions, list[BadMessage]]:
        """Turn messages into columns, and tell what is wrong with the others.

        Each message is judged by itself: its neighbours change nothing. Does not block.

        Args:
            values: n raw messages; None is a tombstone.
            latest_event_time_us: a later event time is an error of the sender.

        Returns:
            The transactions and the bad messages, both in the order of the input. Each message is
            in exactly one of them.
        """
        if self._plain is None:
            return self._decode_others(values, np.arange(len(values)), latest_event_time_us)
        messages = pa.array(values, pa.large_binary())
        transactions, is_plain = self._plain.read(*bytes_and_offsets(messages))
        is_plain &= transactions.event_time_us >= 0
        is_plain &= transactions.event_time_us <= latest_event_time_us
        is_plain &= _are_utf8(messages, values)
        if is_plain.all():
            return transactions, []
        places = np.flatnonzero(~is_plain)
        others, bad = self._decode_others(
            [values[place] for place in places.tolist()], places, latest_event_time_us
        )
        return merged(transactions.take(is_plain), others), bad

    def _decode_others(
        self,
        values: Sequence[bytes | None],
        message_index: NDArray[np.int64],
        latest_event_time_us: int,
    ) -> tuple[Transactions, list[BadMessage]]:
        """Decode messages of whatever form, which have these places in the input."""
        decoded, readable = _decode_each(self._decode_one, values)
        places = np.flatnonzero(readable)
        transactions, is_row_doubtful = to_columns(
            decoded, message_index[places], latest_event_time_us
        )
        is_doubtful = ~readable | _find_doubtful_messages(values)
        is_doubtful[places[is_row_doubtful]] = True
        bad = self._look_closely(values, np.flatnonzero(is_doubtful), latest_event_time_us)
        is_good = np.ones(len(values), np.bool_)
        is_good[[message.message_index for message in bad]] = False
        return transactions.take(is_good[places]), [
            replace(message, message_index=int(message_index[message.message_index]))
            for message in bad
        ]

    def _look_closely(
        self, values: Sequence[bytes | None], places: NDArray[np.int64], latest_event_time_us: int
    ) -> list[BadMessage]:
        problems = (
            (place, find_problem(values[place], self._mapping, latest_event_time_us))
            for place in places.tolist()
        )
        return [BadMessage(place, *problem) for place, problem in problems if problem]


def message_keys(
    values: Sequence[bytes | None], mapping: FieldMapping = AS_DESIGNED
) -> list[bytes | None]:
    """Read the key of each message, the id of its user; None where there is none to be read."""
    decoder = msgspec.json.Decoder(struct_of(mapping, ("user_id",)))
    decoded, readable = _decode_each(decoder.decode, values)
    keys = iter([str(message.user_id).encode() for message in decoded])
    return [next(keys) if can_read else None for can_read in readable.tolist()]


_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, TypeError)
"""What the decoder raises for a bad message; TypeError is for a tombstone."""


def _decode_each(
    decode: Callable[[Any], Any], values: Sequence[bytes | None]
) -> tuple[list[Any], NDArray[np.bool_]]:
    """Decode n messages; returns the readable ones and (n,) which they are.

    `extend` keeps what it has when a message fails, and the iterator stands behind that message.
    This saves the cost of a loop in Python.
    """
    decoded: list[Any] = []
    readable = np.ones(len(values), np.bool_)
    failures = 0
    rest = iter(values)
    while len(decoded) + failures < len(values):
        try:
            decoded.extend(map(decode, rest))
        except _UNREADABLE:
            readable[len(decoded) + failures] = False
            failures += 1
    return decoded, readable


def _find_doubtful_messages(values: Sequence[bytes | None]) -> NDArray[np.bool_]:
    """Look at the raw bytes for what the decoder does not see."""
    messages = pa.array(values, pa.large_binary())
    text, offsets = bytes_and_offsets(messages)
    is_doubtful = find_repeated_fields(text, offsets)
    is_doubtful |= np.diff(offsets) > MAX_MESSAGE_BYTES
    is_doubtful |= ~_are_utf8(messages, values)
    return is_doubtful


def _are_utf8(messages: pa.LargeBinaryArray, values: Sequence[bytes | None]) -> NDArray[np.bool_]:
    """Say of n messages, given in both forms, which are UTF-8."""
    try:
        messages.cast(pa.large_utf8())
    except pa.ArrowInvalid:
        return np.array([_is_utf8(value or b"") for value in values], np.bool_)
    return np.ones(len(values), np.bool_)


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
