"""Labels: what became known about transactions, and how the bytes of their topic become columns."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from flagpost.bad_messages import BadMessage, Problem, Reason
from flagpost.event_keys import read_ids
from flagpost.event_times import parse_time, parse_times
from flagpost.field_mapping import AS_DESIGNED
from flagpost.inspection import MessageKind, find_problem
from flagpost.texts import kept
from flagpost.typed_decoding import decode_typed


@dataclass(frozen=True, slots=True)
class Labels:
    """The n accepted labels of a batch as columns, in the order of the input.

    A label belongs to the transaction of the same `terminal_key`, `event_time_us` and
    `transaction_key`.

    Attributes:
        message_index: (n,) place of each in the input.
        transaction_id: n ids; an integer id is its decimal text.
        user_id: n ids, or None where the message names no user.
        terminal_id: n ids, or None where the message names no terminal.
        source: n texts that say who found out, or None.
        event_time_us: (n,) when the transaction happened, microseconds since 1970-01-01 UTC.
        known_at_us: (n,) when this became known, in the same unit and never before the former.
        is_fraud: (n,) what became known.
        transaction_key: (n,) 64-bit hash of the id, see `event_keys`.
        terminal_key: (n,) the same of the terminal; 0 where absent.
    """

    message_index: NDArray[np.int64]
    transaction_id: Sequence[str]
    user_id: Sequence[str | None]
    terminal_id: Sequence[str | None]
    source: Sequence[str | None]
    event_time_us: NDArray[np.int64]
    known_at_us: NDArray[np.int64]
    is_fraud: NDArray[np.bool_]
    transaction_key: NDArray[np.int64]
    terminal_key: NDArray[np.int64]

    def take(self, keep: NDArray[np.bool_]) -> "Labels":
        """Keep the rows where the (n,) mask is true."""
        if keep.all():
            return self
        return Labels(*(kept(getattr(self, column.name), keep) for column in fields(self)))


class _Message(msgspec.Struct, gc=False):
    """What is read of a label; what has a default may be absent."""

    transaction_id: str | int
    timestamp: str | int | float
    is_fraud: bool
    known_at: str | int | float
    user_id: str | int | None = None
    terminal_id: str | int | None = None
    source: str | None = None
    type: Literal["label"] | None = None


_LABEL = MessageKind(
    name="label",
    refusal=Reason.NOT_A_LABEL,
    fields={field.name: field.type for field in msgspec.structs.fields(_Message)},
    required=tuple(field.name for field in msgspec.structs.fields(_Message) if field.required),
)

_decode: Callable[[Any], _Message] = msgspec.json.Decoder(_Message).decode


class LabelDecoder:
    """Decodes batches of raw label messages."""

    def decode(
        self, values: Sequence[bytes | None], latest_known_at_us: int
    ) -> tuple[Labels, list[BadMessage]]:
        """Turn messages into columns, and tell what is wrong with the others.

        Each message is judged by itself: its neighbours change nothing. Does not block.

        Args:
            values: n raw messages; None is a tombstone.
            latest_known_at_us: a later time is an error of the sender.

        Returns:
            The labels and the bad messages, both in the order of the input. Each message is in
            exactly one of them.
        """
        return decode_typed(
            values,
            np.arange(len(values)),
            _decode,
            partial(_to_columns, latest_known_at_us=latest_known_at_us),
            lambda value: _find_problem(value, latest_known_at_us),
        )


def _to_columns(
    messages: Sequence[_Message], message_index: NDArray[np.int64], latest_known_at_us: int
) -> tuple[Labels, NDArray[np.bool_]]:
    transaction_ids = read_ids([message.transaction_id for message in messages])
    user_ids = read_ids([message.user_id for message in messages])
    terminal_ids = read_ids([message.terminal_id for message in messages])
    sources = read_ids([message.source for message in messages])
    event_times = parse_times([message.timestamp for message in messages])
    known_times = parse_times([message.known_at for message in messages])
    is_odd = (event_times < 0) | (known_times < event_times) | (known_times > latest_known_at_us)
    for texts in (transaction_ids, user_ids, terminal_ids, sources):
        is_odd |= texts.doubtful
    labels = Labels(
        message_index=message_index,
        transaction_id=transaction_ids.texts,
        user_id=user_ids.texts,
        terminal_id=terminal_ids.texts,
        source=sources.texts,
        event_time_us=event_times,
        known_at_us=known_times,
        is_fraud=np.array([message.is_fraud for message in messages], np.bool_),
        transaction_key=transaction_ids.keys,
        terminal_key=terminal_ids.keys,
    )
    return labels, is_odd


def _find_problem(value: bytes | None, latest_known_at_us: int) -> Problem | None:
    problem = find_problem(value, AS_DESIGNED, latest_known_at_us, _LABEL)
    if problem is not None or value is None:
        return problem
    label = _decode(value)
    known_at_us, event_time_us = parse_time(label.known_at), parse_time(label.timestamp)
    return _KNOWN_TOO_EARLY if known_at_us < event_time_us else None


_KNOWN_TOO_EARLY = Problem(
    Reason.KNOWN_TOO_EARLY, "known_at", "`known_at` is before the `timestamp` of the transaction."
)
