"""Sums by hour and reason, the same however the transactions are parted."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from flagpost.core.calendar import HOUR_US
from flagpost.core.totals import FRAUD_REASONS, UNEXPLAINED, strongest_reason, sum_by_hour
from tests.contract.test_store_contract import flagged

Transaction = tuple[int, bool, int, int, float]

transactions = st.lists(
    st.tuples(
        st.integers(0, 5 * HOUR_US), st.booleans(), st.integers(0, 3), st.integers(0, 10**14),
        st.floats(0, 1),
    ),
    max_size=40,
)  # fmt: skip


def summed(rows: list[Transaction]) -> Counter[tuple[int, int, str]]:
    """Each sum by hour, reason and name."""
    [found] = summed_up_to(rows, [len(rows)])
    return found


def summed_up_to(rows: list[Transaction], ends: list[int]) -> list[Counter[tuple[int, int, str]]]:
    """The sums of each part."""
    columns = zip(*rows, strict=True) if rows else [[]] * 5
    types = np.int64, np.bool_, np.int64, np.int64, np.float64
    arrays: list[Any] = [
        np.array(list(each), kind) for each, kind in zip(columns, types, strict=True)
    ]
    arrays.append(np.array(ends))
    return [by_name(cells) for cells in sum_by_hour(*arrays)]


def by_name(cells: list[list[int]]) -> Counter[tuple[int, int, str]]:
    found = Counter[tuple[int, int, str]]()
    for hour, reason, *sums in cells:
        for name, value in zip(("count", "cents", "millionths"), sums, strict=True):
            assert (hour, reason, name) not in found
            found[hour, reason, name] = value
    return found


@settings(deadline=None)  # the first call loads the compiled kernel
@given(transactions)
def test_sums_are_those_of_a_plain_loop(rows: list[Transaction]) -> None:
    expected = Counter[tuple[int, int, str]]()
    for time_us, is_duplicate, reason, cents, probability in rows:
        if not is_duplicate:
            key = time_us // HOUR_US, reason
            expected[*key, "count"] += 1
            expected[*key, "cents"] += cents
            expected[*key, "millionths"] += round(1e6 * probability)

    assert summed(rows) == expected


@settings(deadline=None)
@given(transactions, st.lists(st.integers(0, 40), max_size=3))
def test_each_part_is_summed_by_itself(rows: list[Transaction], places: list[int]) -> None:
    ends = sorted(min(place, len(rows)) for place in [*places, len(rows)])
    parts = [rows[start:end] for start, end in pairwise([0, *ends])]

    assert summed_up_to(rows, ends) == [summed(part) for part in parts]


@settings(deadline=None)
@given(transactions, st.integers(0, 40))
def test_parts_add_up_to_the_whole(rows: list[Transaction], place: int) -> None:
    assert summed(rows[:place]) + summed(rows[place:]) == +summed(rows)


def test_a_flag_counts_under_its_first_reason() -> None:
    reasons = [{"code": "UNUSUAL_TIME"}, {"code": "UNUSUAL_AMOUNT"}]

    assert strongest_reason(replace(flagged("t1"), reasons=reasons)) == "UNUSUAL_TIME"


def test_a_flag_without_a_reason_is_counted_all_the_same() -> None:
    assert strongest_reason(replace(flagged("t1"), reasons=[])) == UNEXPLAINED in FRAUD_REASONS
