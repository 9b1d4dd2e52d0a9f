"""Decoded messages of one partition, waiting for their turn."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from flagpost.core.history import Int64s
from flagpost.events import BadMessage, Partition, Transactions
from flagpost.label_events import Labels
from flagpost.texts import ChainedTexts


class Messages(Protocol):
    """Consecutive messages of one partition, in offset order."""

    @property
    def partition(self) -> Partition:
        """Where they come from."""

    @property
    def values(self) -> Sequence[bytes | None]:
        """The message bodies; None is a tombstone."""

    @property
    def next_offset(self) -> int:
        """The offset to go on from after them."""

    def offset(self, index: int, /) -> int:
        """The offset of message `index`."""


M = TypeVar("M", bound=Messages)
Columns = TypeVar("Columns", bound=Transactions | Labels)


@dataclass(frozen=True, slots=True)
class Piece(Generic[M]):
    """The messages [first, end) of a chunk: what is good in them as rows, and what is bad.

    Rows and bad messages count their messages within the whole chunk. `stream_time_us` is the
    partition's latest event time up to and including each row; for labels, that of being known.
    """

    chunk: M
    first: int
    end: int
    rows: Transactions | Labels
    bad: list[BadMessage]
    stream_time_us: Int64s  # (rows,)

    @property
    def partition(self) -> Partition:
        """Where the messages come from."""
        return self.chunk.partition

    @property
    def n_messages(self) -> int:
        """How many messages there are, good and bad."""
        return self.end - self.first

    @property
    def next_offset(self) -> int:
        """The offset to go on from after them."""
        if self.end == len(self.chunk.values):
            return self.chunk.next_offset
        return self.chunk.offset(self.end)

    def split(self, until_us: int) -> "tuple[Piece[M] | None, Piece[M] | None]":
        """Part the messages up to a stream time from those after it.

        A bad message has no time; it goes with the good ones before it.
        """
        n = int(np.searchsorted(self.stream_time_us, until_us, side="right"))
        if n == self.stream_time_us.size:
            return self, None
        place = int(self.rows.message_index[n])
        if place == self.first:
            return None, self
        return self._part(self.first, place, slice(0, n)), self._part(
            place, self.end, slice(n, None)
        )

    def _part(self, first: int, end: int, rows: slice) -> "Piece[M]":
        return replace(
            self,
            first=first,
            end=end,
            rows=between(self.rows, rows),
            bad=[message for message in self.bad if first <= message.message_index < end],
            stream_time_us=self.stream_time_us[rows],
        )


def between(columns: Columns, rows: slice) -> Columns:
    """Return some consecutive rows."""
    taken: dict[str, Any] = {
        field.name: getattr(columns, field.name)[rows] for field in fields(columns)
    }
    return replace(columns, **taken)


def joined(parts: Sequence[Columns]) -> Columns:
    """Return the rows of at least one part behind each other."""
    if len(parts) == 1:
        return parts[0]
    names = [field.name for field in fields(parts[0])]
    columns: dict[str, Any] = {name: [getattr(part, name) for part in parts] for name in names}
    return replace(parts[0], **{name: _concatenated(column) for name, column in columns.items()})


def _concatenated(column: list[Any]) -> Any:  # noqa: ANN401  (arrays or texts)
    return np.concatenate(column) if isinstance(column[0], np.ndarray) else ChainedTexts(column)
