import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flagpost.repeated_fields import find_repeated_fields

NAMES = st.text(st.sampled_from('ab{}[],:"\\\u00e9 '), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)


def is_marked(*messages: bytes) -> list[bool]:
    offsets = np.cumsum([0, *map(len, messages)], dtype=np.int64)
    marks: list[bool] = find_repeated_fields(
        np.frombuffer(b"".join(messages), np.uint8), offsets
    ).tolist()
    return marks


@settings(deadline=None)  # the first example compiles the kernels
@given(st.lists(st.tuples(NAMES, VALUES), max_size=8), st.none() | st.just(1))
def test_a_message_is_marked_if_it_repeats_a_field_or_escapes_a_name(
    fields: list[tuple[str, object]],
    indent: int | None,
) -> None:
    names = [json.dumps(name, ensure_ascii=False) for name, _ in fields]
    values = [json.dumps(value, indent=indent) for _, value in fields]
    pairs = (f"{name} : {value}" for name, value in zip(names, values, strict=True))
    expected = len(set(names)) < len(names) or any("\\" in name for name in names)
    assert is_marked(b'{"a":1}', f"{{{', '.join(pairs)}}}".encode(), b'{"b":1}') == [
        False,
        expected,
        False,
    ]


@pytest.mark.parametrize(
    "message", [b"", b'"', b'{"', b'{"a', b'{"a\\', b'{"a":"\\', b"}}}}", b"[" * 9, b'{"a":"\\"']
)
def test_what_is_cut_short_does_not_reach_into_its_neighbour(message: bytes) -> None:
    assert is_marked(message, b'{"a":1}', b'{"a":1,"a":2}')[1:] == [False, True]


@settings(deadline=None)  # the first example compiles the kernels
@given(st.binary(max_size=60))
def test_any_bytes_get_an_answer(message: bytes) -> None:
    assert is_marked(message, b'{"a":1,"a":2}')[1:] == [True]


def test_names_that_share_their_ends_and_length_are_told_apart() -> None:
    assert is_marked(b'{"amount_01_total": 1, "amount_07_total": 2}') == [False]
    assert is_marked(b'{"amount_01_total": 1, "x": 0, "amount_01_total": 2}') == [True]


def test_64_levels_are_fine_and_65_are_marked() -> None:
    assert is_marked(b"[" * 64 + b"]" * 64, b"[" * 65 + b"]" * 65) == [False, True]
