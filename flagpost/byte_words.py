"""Texts as one row of bytes, read eight at a time by the kernels."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from flagpost.compiled import compiled

LOW_BITS = np.uint64(0x0101010101010101)
HIGH_BITS = np.uint64(0x8080808080808080)
QUOTES = np.uint64(0x2222222222222222)
BACKSLASHES = np.uint64(0x5C5C5C5C5C5C5C5C)


def in_a_row(texts: Sequence[bytes | None]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Lay n texts behind each other; None takes no room.

    Returns:
        All bytes, and (n + 1,) offsets: text i is `[offsets[i], offsets[i + 1])`.
    """
    try:
        row = b"".join(texts)  # type: ignore[arg-type]  # nearly never is there a None
    except TypeError:
        return in_a_row([text or b"" for text in texts])
    offsets = np.zeros(len(texts) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)), out=offsets[1:])  # type: ignore[arg-type]
    return np.frombuffer(row, np.uint8) if row else np.empty(0, np.uint8), offsets


@compiled
def word_at(text: NDArray[np.uint8], at: np.uint64) -> np.uint64:
    """Eight bytes as one little-endian number; LLVM turns this into a single load."""
    word = np.uint64(0)
    for place in range(8):
        shift = np.uint64(place)
        word |= np.uint64(text[at + shift]) << (np.uint64(8) * shift)
    return word


@compiled
def zero_bytes(word: np.uint64) -> np.uint64:
    """Set the high bit of the first zero byte (those after it may be set in error)."""
    return (word - LOW_BITS) & ~word & HIGH_BITS
