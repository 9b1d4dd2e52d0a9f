"""The messages of the stream: what a transaction is, and how bytes become columns.

Three ways lead there, each slower than the one before and open to more. `plain_transactions` reads
what has the plain form, straight from the bytes. A typed decoder takes the others. And whatever
looks odd there is looked at closely, one message at a time, by `inspection.find_problem`.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from flagpost.bad_messages import BadMessage, Reason
from flagpost.byte_words import in_a_row
from flagpost.event_columns import UNKNOWN_BALANCE, Transactions, merged, to_columns
from flagpost.field_mapping import AS_DESIGNED, FieldMapping, load_mapping, struct_of
from flagpost.inspection import find_problem
from flagpost.plain_transactions import PlainReader
from flagpost.typed_decoding import are_utf8, decode_each, decode_typed

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
        text, offsets = in_a_row(values)
        transactions, is_plain = self._plain.read(text, offsets)
        is_plain &= transactions.event_time_us >= 0
        is_plain &= transactions.event_time_us <= latest_event_time_us
        is_plain &= are_utf8(values, text)
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
        return decode_typed(
            values,
            message_index,
            self._decode_one,
            partial(to_columns, latest_event_time_us=latest_event_time_us),
            lambda value: find_problem(value, self._mapping, latest_event_time_us),
        )


def message_keys(
    values: Sequence[bytes | None], mapping: FieldMapping = AS_DESIGNED
) -> list[bytes | None]:
    """Read the key of each message, the id of its user; None where there is none to be read."""
    decoder = msgspec.json.Decoder(struct_of(mapping, ("user_id",)))
    decoded, readable = decode_each(decoder.decode, values)
    keys = iter([str(message.user_id).encode() for message in decoded])
    return [next(keys) if can_read else None for can_read in readable.tolist()]
