"""Bins from the training data, and what is counted in them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from flagpost.core.calendar import HOUR_US
from flagpost.core.features import AMOUNT, COUNT_1H, FEATURE_NAMES, IS_NIGHT
from flagpost.core.scorer import Floats
from flagpost.core.spread import (
    FRAUD_PROBABILITY,
    MOST_BINS,
    SAMPLE_EVERY,
    TrainedSpread,
    bins_of,
    each_day,
    first_bins,
    is_sampled,
    opens_hour,
    spread_of_training,
)

NAMES = ("amount", "is_night", "customer_tx_count_1h")


def matrix_of(n: int, seed: int) -> Floats:
    rng = np.random.default_rng(seed)
    matrix = np.zeros((n, len(FEATURE_NAMES)))
    matrix[:, AMOUNT] = rng.gamma(2, 30, n).round(2)
    matrix[:, IS_NIGHT] = rng.random(n) < 0.05
    matrix[:, COUNT_1H] = 1 + rng.poisson(0.3, n)
    return matrix


def probabilities(n: int, seed: int) -> Floats:
    return np.random.default_rng(seed).beta(1, 50, n)


def keys(n: int, seed: int) -> NDArray[np.int64]:
    return np.random.default_rng(seed).integers(-(2**63), 2**63 - 1, n)


def spread_of(column: list[float]) -> TrainedSpread:
    matrix = np.zeros((len(column), len(FEATURE_NAMES)))
    matrix[:, AMOUNT] = column
    return spread_of_training(["amount"], matrix, np.zeros(len(column)))[0]


def test_bins_hold_a_tenth_of_the_training_data_each() -> None:
    spread = spread_of(np.random.default_rng(1).permutation(1_000).tolist())

    assert spread.edges == [100, 200, 300, 400, 500, 600, 700, 800, 900]
    assert spread.shares == [0.101, *[0.1] * 8, 0.099]


def test_the_stability_index_counts_values_at_an_edge_below_it() -> None:
    spread = TrainedSpread("amount", [10.0, 20.0], [0.5, 0.3, 0.2])
    as_trained = np.repeat([10.0, 20.0, 20.5], [50, 30, 20])
    assert spread.stability_index(as_trained) == 0
    shifted = np.repeat([0.0, 15.0, 99.0], [20, 30, 50])
    assert spread.stability_index(shifted) == pytest.approx(0.6 * np.log(2.5))


@pytest.mark.parametrize(
    ("column", "edges", "shares"),
    [
        ([0, 1, 0, 0], [0], [0.75, 0.25]),
        ([1, 1, 1, 0], [0], [0.25, 0.75]),
        ([3, 1, 2, 1], [1, 2], [0.5, 0.25, 0.25]),
        ([7, 7], [7], [1, 0]),
        ([*range(100), *[999] * 9_900], [99], [0.01, 0.99]),
        ([*[-1] * 9_900, *range(100)], [-1], [0.99, 0.01]),
    ],
    ids=["flag", "rare zero", "counts", "constant", "mostly the largest", "mostly the smallest"],
)  # fmt: skip
def test_repeated_values_share_a_bin(
    column: list[float], edges: list[float], shares: list[float]
) -> None:
    assert spread_of(column) == TrainedSpread("amount", edges, shares)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=200))
def test_bins_ascend_and_their_shares_are_those_of_the_data(column: list[int]) -> None:
    spread = spread_of([float(value) for value in column])

    assert spread.is_sound
    assert len(spread.shares) <= MOST_BINS
    inside = np.histogram(column, bins=[-1, *(edge + 0.5 for edge in spread.edges), 99])[0]
    assert spread.shares == (inside / len(column)).tolist()


def test_counts_equal_a_histogram_of_the_sample() -> None:
    spreads = spread_of_training(NAMES, matrix_of(5_000, 1), probabilities(5_000, 2))
    rows, scores, key = matrix_of(20_000, 3) * 1.2, probabilities(20_000, 4), keys(20_000, 5)
    is_duplicate = np.random.default_rng(6).random(20_000) < 0.1

    [counts] = bins_of(spreads).count(key, is_duplicate, rows, scores, np.array([20_000]))

    chosen = (key % SAMPLE_EVERY == 0) & ~is_duplicate
    assert 1_000 < chosen.sum() < 1_250
    columns = [*(rows[:, FEATURE_NAMES.index(name)] for name in NAMES), scores]
    expected = [
        np.histogram(-column[chosen], bins=[-np.inf, *(-edge for edge in each.edges[::-1]), np.inf])
        for each, column in zip(spreads, columns, strict=True)
    ]  # numpy's bins are closed below and ours above, so both signs are turned
    assert counts.tolist() == np.concatenate([n[::-1] for n, _ in expected]).tolist()


def test_counts_do_not_depend_on_how_transactions_are_batched() -> None:
    bins = bins_of(spread_of_training(NAMES, matrix_of(2_000, 1), probabilities(2_000, 2)))
    rows, scores, key = matrix_of(3_000, 3), probabilities(3_000, 4), keys(3_000, 5)
    new = np.zeros(3_000, np.bool_)

    batches = np.concatenate([
        bins.count(key[part], new[part], rows[part], scores[part], np.array([key[part].size]))
        for part in (slice(0, 1), slice(1, 700), slice(700, 700), slice(700, 3_000))
    ])  # fmt: skip
    parts = bins.count(key, new, rows, scores, np.array([1, 700, 700, 3_000]))

    assert parts.tolist() == batches.tolist()
    assert (
        parts.sum(axis=0).tolist()
        == bins.count(key, new, rows, scores, np.array([3_000]))[0].tolist()
    )
    assert (parts.sum(axis=1) > 0).sum() == 2


def test_duplicates_are_not_counted() -> None:
    bins = bins_of([TrainedSpread("amount", [50.0], [0.5, 0.5])])
    rows, key = np.full((3, len(FEATURE_NAMES)), 60.0), np.array([0, 0, SAMPLE_EVERY])

    counts = bins.count(key, np.array([False, True, False]), rows, np.zeros(3), np.array([3]))

    assert counts.tolist() == [[0, 2]]


def test_one_in_so_many_keys_is_sampled_negative_ones_too() -> None:
    chosen = [key for key in range(-32, 33) if is_sampled(key)]

    assert chosen == [-32, -16, 0, 16, 32]


@pytest.mark.parametrize(
    ("hours", "parts"),
    [
        ([], []),
        ([5], [[5]]),
        ([0, 23, 23], [[0, 23, 23]]),
        ([0, 23, 24, 24, 47, 48], [[0, 23], [24, 24, 47], [48]]),
        ([-1, 0, 240], [[-1], [0], [240]]),
    ],
    ids=["nothing", "one row", "one day", "midnight begins a day", "days without rows"],
)
def test_rows_are_parted_by_the_days_of_the_stream(
    hours: list[int], parts: list[list[int]]
) -> None:
    found = each_day(np.array(hours, np.int64) * HOUR_US)

    assert [hours[day] for day in found] == parts


@pytest.mark.parametrize(
    ("hours", "reached", "opens"),
    [
        ([5.5], None, True),
        ([], 5.0, False),
        ([5.9], 5.1, False),
        ([5.9, 6.1], 5.1, True),
        ([22.9, 24.1], 22.5, False),
        ([22.9, 23.1, 24.1], 22.5, True),
        ([24.1], 23.9, True),
    ],
    ids=[
        "the first rows", "no rows", "the same hour", "the next hour",
        "the rest of a day in the same hour", "the rest of a day in the next hour", "a new day",
    ],
)  # fmt: skip
def test_an_hour_opens_where_nothing_more_is_counted_in_the_one_before(
    hours: list[float], reached: float | None, opens: bool
) -> None:
    stream_time_us = (np.array(hours) * HOUR_US).astype(np.int64)
    reached_us = None if reached is None else int(reached * HOUR_US)

    assert opens_hour(stream_time_us, reached_us) is opens


def test_each_feature_begins_behind_the_bins_of_those_before() -> None:
    spreads = spread_of_training(NAMES, matrix_of(5_000, 1), probabilities(5_000, 2))

    assert [each.feature for each in spreads] == [*NAMES, FRAUD_PROBABILITY]
    assert first_bins(spreads) == [0, 10, 12, 12 + len(spreads[2].shares)]
    assert bins_of(spreads).n_bins == first_bins(spreads)[-1] + 10


@pytest.mark.parametrize(
    ("edges", "shares"), [([1.0, 1.0], [0.5, 0.2, 0.3]), ([1.0], [1.0]), ([2.0, 1.0], [0.1] * 3)]
)
def test_bins_that_cannot_be_are_not_sound(edges: list[float], shares: list[float]) -> None:
    assert not TrainedSpread("amount", edges, shares).is_sound
