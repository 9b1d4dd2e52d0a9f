"""Text columns as one run of bytes, read eight at a time by the kernels."""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from flagpost.compiled import compiled


def bytes_and_offsets(
    texts: pa.LargeStringArray | pa.LargeBinaryArray,
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """View an Arrow array of large strings or binaries without a copy.

    Returns:
        All bytes in a row, and (n + 1,) offsets: text i is `[offsets[i], offsets[i + 1])`.
    """
    buffers: list[Any] = texts.buffers()
    _, offsets, content = buffers
    if len(texts) == 0 or content is None:
        return np.empty(0, np.uint8), np.zeros(len(texts) + 1, np.int64)
    return np.frombuffer(content, np.uint8), np.frombuffer(offsets, np.int64, len(texts) + 1)


@compiled
def word_at(text: NDArray[np.uint8], at: np.uint64) -> np.uint64:
    """Eight bytes as one little-endian number; LLVM turns this into a single load."""
    word = np.uint64(0)
    for place in range(8):
        shift = np.uint64(place)
        word |= np.uint64(text[at + shift]) << (np.uint64(8) * shift)
    return word
