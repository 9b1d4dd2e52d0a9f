"""Ids as 64-bit keys: what the histories, the journal and duplicate detection compare.

The hash is XXH64 with seed 0, as in https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md.
Keys are stored, so it must never change.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flagpost.byte_words import in_a_row, word_at
from flagpost.compiled import compiled

MAX_ID_CHARACTERS = 256

_PRIME_1 = np.uint64(0x9E3779B185EBCA87)
_PRIME_2 = np.uint64(0xC2B2AE3D27D4EB4F)
_PRIME_3 = np.uint64(0x165667B19E3779F9)
_PRIME_4 = np.uint64(0x85EBCA77C2B2AE63)
_PRIME_5 = np.uint64(0x27D4EB2F165667C5)


@dataclass(frozen=True, slots=True)
class IdColumn:
    """Ids of n messages: n texts (None where absent), (n,) keys (0 where absent), (n,) doubts."""

    texts: Sequence[Any]
    keys: NDArray[np.int64]
    doubtful: NDArray[np.bool_]


def read_ids(ids: Sequence[str | int | None]) -> IdColumn:
    """Hash ids; an integer stands for its decimal text.

    Empty ids, ids with a NUL and ids of more than 256 bytes (so perhaps characters) are doubtful.
    """
    texts = [str(each) if isinstance(each, int) else each for each in ids]
    text, offsets = in_a_row([each.encode() if each is not None else None for each in texts])
    return IdColumn(
        texts=texts,
        keys=hash_texts(text, offsets),
        doubtful=_doubtful(texts, text, np.diff(offsets)),
    )


def _doubtful(
    texts: Sequence[str | None], text: NDArray[np.uint8], lengths: NDArray[np.int64]
) -> NDArray[np.bool_]:
    present = np.array([each is not None for each in texts], np.bool_)
    doubtful: NDArray[np.bool_] = (lengths > MAX_ID_CHARACTERS) | ((lengths == 0) & present)
    if text.min(initial=1) == 0:
        doubtful |= np.array(["\0" in (each or "") for each in texts], np.bool_)
    return doubtful


def hash_texts(text: NDArray[np.uint8], offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """XXH64 of each text, as a signed number; 0 for an empty one, which stands for absent."""
    keys = np.zeros(len(offsets) - 1, np.int64)
    _hash_texts(text, offsets, keys)
    return keys


@compiled
def _hash_texts(
    text: NDArray[np.uint8], offsets: NDArray[np.int64], keys: NDArray[np.int64]
) -> None:
    for row in range(len(keys)):
        keys[row] = hash_text(text, offsets[row], offsets[row + 1])


@compiled
def hash_text(text: NDArray[np.uint8], start: int, end: int) -> int:
    """XXH64 of one text, as a signed number; 0 for an empty one."""
    if start == end:
        return 0
    key: int = np.int64(_xxh64(text, np.uint64(start), np.uint64(end)))  # type: ignore[assignment]  # an int to numba
    return key


@compiled
def _xxh64(text: NDArray[np.uint8], start: np.uint64, end: np.uint64) -> np.uint64:
    length = end - start
    at = start
    if length < np.uint64(32):
        state = _PRIME_5
    else:
        state, at = _digest_stripes(text, start, end)
    state += length
    while at + np.uint64(8) <= end:
        state = _rotate(state ^ _round(np.uint64(0), word_at(text, at)), 27) * _PRIME_1 + _PRIME_4
        at += np.uint64(8)
    if at + np.uint64(4) <= end:
        state = _rotate(state ^ (_half_word_at(text, at) * _PRIME_1), 23) * _PRIME_2 + _PRIME_3
        at += np.uint64(4)
    while at < end:
        state = _rotate(state ^ (np.uint64(text[at]) * _PRIME_5), 11) * _PRIME_1
        at += np.uint64(1)
    return _avalanche(state)


@compiled
def _digest_stripes(
    text: NDArray[np.uint8], start: np.uint64, end: np.uint64
) -> tuple[np.uint64, np.uint64]:
    """Take in 32 bytes at a time; returns the state and where the rest begins."""
    a, b, c, d = _PRIME_1 + _PRIME_2, _PRIME_2, np.uint64(0), np.uint64(0) - _PRIME_1
    at = start
    while at + np.uint64(32) <= end:
        a = _round(a, word_at(text, at))
        b = _round(b, word_at(text, at + np.uint64(8)))
        c = _round(c, word_at(text, at + np.uint64(16)))
        d = _round(d, word_at(text, at + np.uint64(24)))
        at += np.uint64(32)
    state = _rotate(a, 1) + _rotate(b, 7) + _rotate(c, 12) + _rotate(d, 18)
    for lane in (a, b, c, d):
        state = (state ^ _round(np.uint64(0), lane)) * _PRIME_1 + _PRIME_4
    return state, at


@compiled
def _half_word_at(text: NDArray[np.uint8], at: np.uint64) -> np.uint64:
    word = np.uint64(0)
    for place in range(4):
        shift = np.uint64(place)
        word |= np.uint64(text[at + shift]) << (np.uint64(8) * shift)
    return word


@compiled
def _rotate(word: np.uint64, bits: int) -> np.uint64:
    return (word << np.uint64(bits)) | (word >> np.uint64(64 - bits))


@compiled
def _round(state: np.uint64, word: np.uint64) -> np.uint64:
    return _rotate(state + word * _PRIME_2, 31) * _PRIME_1


@compiled
def _avalanche(state: np.uint64) -> np.uint64:
    state = (state ^ (state >> np.uint64(33))) * _PRIME_2
    state = (state ^ (state >> np.uint64(29))) * _PRIME_3
    return state ^ (state >> np.uint64(32))
