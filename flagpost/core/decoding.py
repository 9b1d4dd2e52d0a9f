"""Raw messages of a poll in, pieces with their stream times out."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise, starmap

import numpy as np

from flagpost.core.history import Int64s
from flagpost.core.piece import Columns, M, Piece, between
from flagpost.core.stream_time import running_maximum
from flagpost.events import BadMessage, Partition, TransactionDecoder
from flagpost.label_events import LabelDecoder

Reached = Callable[[Partition], int | None]
"""The stream time that a partition has reached before these messages; None at its beginning."""


class MessageDecoder:
    """Decodes both topics: labels from the one that is named, transactions from all others."""

    def __init__(self, transactions: TransactionDecoder, labels_topic: str) -> None:
        self._transactions = transactions
        self._labels = LabelDecoder()
        self._labels_topic = labels_topic

    def decode(
        self, chunks: Sequence[M], reached: Reached, latest_event_time_us: int
    ) -> list[Piece[M]]:
        """Make a piece of each chunk; a message from after the latest time is bad. No I/O."""
        labels = [chunk for chunk in chunks if chunk.partition.topic == self._labels_topic]
        others = [chunk for chunk in chunks if chunk.partition.topic != self._labels_topic]
        pieces = list[Piece[M]]()
        if others:
            rows, bad = self._transactions.decode(_values(others), latest_event_time_us)
            pieces += _pieces(others, rows, bad, rows.event_time_us, reached)
        if labels:
            known, bad = self._labels.decode(_values(labels), latest_event_time_us)
            pieces += _pieces(labels, known, bad, known.known_at_us, reached)
        return pieces


def _values(chunks: Sequence[M]) -> list[bytes | None]:
    return [value for chunk in chunks for value in chunk.values]


def _pieces(
    chunks: Sequence[M],
    columns: Columns,
    bad: list[BadMessage],
    times_us: Int64s,
    reached: Reached,
) -> list[Piece[M]]:
    """Part what was decoded at once into its chunks again."""
    starts = np.cumsum([0, *(len(chunk.values) for chunk in chunks)])
    rows = np.searchsorted(columns.message_index, starts)
    index_in_chunk = columns.message_index - np.repeat(starts[:-1], np.diff(rows))
    columns = replace(columns, message_index=index_in_chunk)
    return [
        Piece(
            chunks=(chunk,),
            first=0,
            end=len(chunk.values),
            rows=between(columns, mine),
            bad=[
                replace(message, message_index=message.message_index - start)
                for message in bad
                if start <= message.message_index < start + len(chunk.values)
            ],
            stream_time_us=running_maximum(times_us[mine], reached(chunk.partition)),
        )
        for chunk, start, mine in zip(
            chunks, starts.tolist(), starmap(slice, pairwise(rows.tolist())), strict=False
        )
    ]
