"""Text columns that are cut out of the messages only where somebody looks."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate, compress
from typing import Any

import numpy as np
from numpy.typing import NDArray


class SpanTexts(Sequence[Any]):
    """Texts [starts[i], ends[i]) of some bytes in UTF-8; None where a span is empty.

    A slice of it is one of these, too.
    """

    def __init__(
        self, content: memoryview, starts: NDArray[np.int64], ends: NDArray[np.int64]
    ) -> None:
        self._content = content
        self._starts = starts
        self._ends = ends

    def __len__(self) -> int:
        return len(self._starts)

    def __getitem__(self, place: int | slice) -> Any:  # noqa: ANN401  (a text, or a SpanTexts)
        if isinstance(place, slice):
            return SpanTexts(self._content, self._starts[place], self._ends[place])
        return self._cut(int(self._starts[place]), int(self._ends[place]))

    def __iter__(self) -> Iterator[str | None]:
        return map(self._cut, self._starts.tolist(), self._ends.tolist())

    def take(self, keep: NDArray[np.bool_]) -> "SpanTexts":
        """Keep the texts where the (n,) mask is true."""
        return SpanTexts(self._content, self._starts[keep], self._ends[keep])

    def _cut(self, start: int, end: int) -> str | None:
        return str(self._content[start:end], "utf-8") if start < end else None


class ChainedTexts(Sequence[Any]):
    """Several text columns behind each other."""

    def __init__(self, parts: Sequence[Sequence[Any]]) -> None:
        self._parts = parts
        self._ends = list(accumulate(map(len, parts)))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, place: int | slice) -> Any:  # noqa: ANN401  (a text, or some of them)
        if isinstance(place, slice):
            return [self[each] for each in range(len(self))[place]]
        place = range(len(self))[place]
        part = bisect_right(self._ends, place)
        return self._parts[part][place - (self._ends[part - 1] if part else 0)]


def kept(column: Any, keep: NDArray[np.bool_]) -> Any:  # noqa: ANN401  (an array or texts)
    """Keep the rows of a column where the (n,) mask is true."""
    if isinstance(column, np.ndarray):
        return column[keep]
    return (
        column.take(keep) if isinstance(column, SpanTexts) else [*compress(column, keep.tolist())]
    )
