import numpy as np
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from flagpost.event_keys import read_ids

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=120)


@settings(deadline=None)  # the first example compiles the kernels
@given(st.lists(TEXTS, max_size=20))
def test_keys_are_xxh64(texts: list[str]) -> None:
    keys = read_ids(texts).keys.view(np.uint64).tolist()
    assert keys == [xxhash.xxh64_intdigest(text.encode()) for text in texts]


@pytest.mark.parametrize("length", [1, 3, 4, 7, 8, 12, 31, 32, 33, 63, 64, 95, 256])
def test_keys_are_xxh64_at_every_kind_of_length(length: int) -> None:
    text = "".join(chr(33 + place % 90) for place in range(length))
    assert read_ids([text]).keys.view(np.uint64).tolist() == [xxhash.xxh64_intdigest(text.encode())]


def test_a_key_does_not_change_between_versions() -> None:
    assert read_ids(["c00017"]).keys.tolist() == [-1454717388247138528]


def test_an_integer_and_its_text_are_the_same_id() -> None:
    column = read_ids([17, "17", -3, None])
    assert column.texts == ["17", "17", "-3", None]
    assert column.keys[0] == column.keys[1]
    assert column.keys[3] == 0


def test_only_odd_ids_are_doubtful() -> None:
    column = read_ids(["", None, "a\0", "x" * 256, "x" * 257, "\u20ac" * 86])
    assert column.doubtful.tolist() == [True, False, True, False, True, True]
