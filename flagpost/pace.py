"""When each message of a replay is due, in seconds since its start."""

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from flagpost.errors import BadConfiguration
from flagpost.event_times import parse_time
from flagpost.events import FieldMapping
from flagpost.field_mapping import struct_of
from flagpost.logs import LogBatch
from flagpost.plain_times import UNREADABLE_TIME

Pace = Callable[[LogBatch], NDArray[np.float64]]
"""Gives (n,) seconds for the n messages of the next batch, never falling, also across batches."""


def choose_pace(rate: float | None, speed: float | None, mapping: FieldMapping) -> Pace:
    """Events a second, times real time, or flat out where neither is given.

    Raises:
        BadConfiguration: both are given.
    """
    if rate is not None and speed is not None:
        raise BadConfiguration("--rate and --speed exclude each other; give one of them")
    if rate is not None:
        return constant_rate(rate)
    if speed is not None:
        return event_time(speed, mapping)
    return flat_out


def flat_out(batch: LogBatch) -> NDArray[np.float64]:
    """Everything is due at once."""
    return np.zeros(len(batch.values))


def constant_rate(events_per_second: float) -> Pace:
    """So many messages a second."""
    sent = 0

    def pace(batch: LogBatch) -> NDArray[np.float64]:
        nonlocal sent
        first, sent = sent, sent + len(batch.values)
        return np.arange(first, sent) / events_per_second

    return pace


def event_time(speed: float, mapping: FieldMapping) -> Pace:
    """As far apart as the transactions' times, divided by `speed`.

    A late transaction, a label or a line without a readable time is due with the one before it.
    """
    decoder = msgspec.json.Decoder(struct_of(mapping, ("timestamp",)))
    first_us: int | None = None
    latest_us = 0

    def pace(batch: LogBatch) -> NDArray[np.float64]:
        nonlocal first_us, latest_us
        times_us = np.array(
            [
                UNREADABLE_TIME if is_label else _time_of(decoder, value)
                for value, is_label in zip(batch.values, batch.is_label.tolist(), strict=True)
            ],
            np.int64,
        )
        readable = times_us[times_us != UNREADABLE_TIME]
        if first_us is None and len(readable):
            first_us = latest_us = int(readable[0])
        latest = np.maximum.accumulate(np.maximum(times_us, latest_us))
        latest_us = int(latest[-1])
        return (latest - (first_us or latest_us)) / (1e6 * speed)

    return pace


def _time_of(decoder: msgspec.json.Decoder[Any], value: bytes) -> int:
    try:
        return parse_time(decoder.decode(value).timestamp)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return UNREADABLE_TIME
