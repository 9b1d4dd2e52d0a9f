"""Decoded messages of one partition, waiting for their turn."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
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
    """The messages [first, end) of consecutive chunks: the good ones as rows, and the bad ones.

    Rows and bad messages count their messages from the first of the chunks on. `stream_time_us` is
    the partition's latest event time up to and including each row; for labels, that of being known.
    """

    chunks: tuple[M, ...]
    first: int
    end: int
    rows: Transactions | Labels
    bad: list[BadMessage]
    stream_time_us: Int64s  # (rows,)

    @property
    def partition(self) -> Partition:
        """Where the messages come from."""
        return self.chunks[0].partition

    @property
    def n_messages(self) -> int:
        """How many messages there are, good and bad."""
        return self.end - self.first

    @property
    def next_offset(self) -> int:
        """The offset to go on from after them."""
        chunk, last = self.locate(self.end - 1)
        return chunk.next_offset if last + 1 == len(chunk.values) else chunk.offset(last + 1)

    def locate(self, index: int) -> tuple[M, int]:
        """Return the chunk that holds message `index`, and the message's index in it."""
        for chunk in self.chunks:
            if index < len(chunk.values):
                break
            index -= len(chunk.values)
        return chunk, index

    def offset(self, index: int) -> int:
        """Return the offset of message `index`."""
        chunk, within = self.locate(index)
        return chunk.offset(within)

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

    def behind(self, n_messages: int) -> "Piece[M]":
        """Count the messages as they are behind so many others."""
        return replace(
            self,
            end=self.end + n_messages,
            rows=replace(self.rows, message_index=self.rows.message_index + n_messages),
            bad=[replace(bad, message_index=bad.message_index + n_messages) for bad in self.bad],
        )


def united(pieces: Sequence[Piece[M]]) -> Piece[M]:
    """Make one piece of at least one, of which each goes on where the one before ends."""
    if len(pieces) == 1:
        return pieces[0]
    starts = accumulate((_n_of(piece.chunks) for piece in pieces[:-1]), initial=0)
    parts = [piece.behind(start) for piece, start in zip(pieces, starts, strict=True)]
    return Piece(
        chunks=tuple(chunk for part in parts for chunk in part.chunks),
        first=parts[0].first,
        end=parts[-1].end,
        rows=joined([part.rows for part in parts]),
        bad=[bad for part in parts for bad in part.bad],
        stream_time_us=np.concatenate([part.stream_time_us for part in parts]),
    )


def _n_of(chunks: Sequence[Messages]) -> int:
    return sum(len(chunk.values) for chunk in chunks)


def between(columns: Columns, rows: slice) -> Columns:
    """Return some consecutive rows."""
    taken: list[Any] = [getattr(columns, name)[rows] for name in columns.__slots__]
    return type(columns)(*taken)


def joined(parts: Sequence[Columns]) -> Columns:
    """Return the rows of at least one part behind each other."""
    if len(parts) == 1:
        return parts[0]
    columns: list[Any] = [
        _concatenated([getattr(part, name) for part in parts]) for name in parts[0].__slots__
    ]
    return type(parts[0])(*columns)


def reordered(columns: Columns, order: Int64s) -> Columns:
    """Return the rows at the places that `order` gives, in its order."""
    places = order.tolist()
    taken: list[Any] = [
        column[order]
        if isinstance(column := getattr(columns, name), np.ndarray)
        else [column[place] for place in places]
        for name in columns.__slots__
    ]
    return type(columns)(*taken)


def _concatenated(column: list[Any]) -> Any:  # noqa: ANN401  (arrays or texts)
    return np.concatenate(column) if isinstance(column[0], np.ndarray) else ChainedTexts(column)
