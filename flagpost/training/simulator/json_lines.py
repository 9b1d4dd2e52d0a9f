"""JSON objects, one a line, put together column by column.

Arrow joins the columns of a whole chunk at once, at less than a microsecond a line.
"""

from datetime import date
from itertools import chain
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flagpost.training.simulator.population import Flags, Floats, Ints

_CENTS = pa.array([f".{cents:02d}" for cents in range(100)])

Piece: TypeAlias = "str | pa.Array[Any]"
"""A text that is the same on every line, or one text a line. None holds what JSON must escape."""


def lines(**fields: tuple[Piece, ...]) -> pa.StringArray:
    """One line for each row: an object of these fields, whose values are pieces put together."""
    members = ((f'"{name}":', *value, ",") for name, value in fields.items())
    pieces = ["{", *chain.from_iterable(members)]
    pieces[-1] = "}\n"
    joined: pa.StringArray = pc.call_function("binary_join_element_wise", [*pieces, ""])
    return joined


def text(*pieces: Piece) -> tuple[Piece, ...]:
    """A JSON string."""
    return ('"', *pieces, '"')


def number(values: Floats | Flags) -> tuple[Piece, ...]:
    """JSON numbers or booleans, as short as they can be."""
    return (pa.array(values).cast(pa.string()),)


def money(cents: Ints) -> tuple[Piece, ...]:
    """JSON numbers with two decimals; no amount is negative."""
    return (pa.array(cents // 100).cast(pa.string()), _CENTS.take(cents % 100))


def chosen(names: tuple[str, ...], index: Ints) -> tuple[Piece, ...]:
    """JSON strings picked by their index."""
    return text(pa.array(names).take(index))


def identifier(prefix: str, numbers: Ints, digits: int) -> tuple[Piece, ...]:
    """JSON strings such as "C00042"; a number with more digits keeps them all."""
    return text(prefix, pc.utf8_lpad(pa.array(numbers).cast(pa.string()), digits, "0"))


def timestamp(start: date, second: Ints) -> tuple[Piece, ...]:
    """JSON strings in ISO 8601, UTC, of seconds since midnight of the start."""
    instant = pa.array(np.datetime64(start, "s") + second)
    day = instant.cast(pa.date32()).cast(pa.string())
    time_of_day = instant.cast(pa.time32("s")).cast(pa.string())
    return text(day, "T", time_of_day, "Z")
