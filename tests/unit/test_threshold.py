import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flagpost.training.threshold import threshold_for_budget, threshold_for_costs

probabilities = st.lists(st.integers(1, 8).map(lambda n: n / 9), min_size=1, max_size=60)


@given(probabilities, st.integers(0, 70))
def test_never_more_are_flagged_than_asked_for_and_no_tie_is_cut(
    scores: list[float], wanted: int
) -> None:
    ranked = np.sort(scores)[::-1]

    n_flagged = int((ranked >= threshold_for_budget(ranked, wanted)).sum())

    # All that score more than the first one left out are flagged, and nothing else is.
    first_left_out = ranked[wanted] if wanted < ranked.size else 0.0
    assert n_flagged == int((ranked > first_left_out).sum()) <= wanted


@pytest.mark.parametrize(
    ("n_flags", "threshold"), [(1, 0.75), (2, 0.5), (3, 0.3), (0, 0.95), (4, 0.0)]
)
def test_the_threshold_lies_half_way_between_two_scores(n_flags: int, threshold: float) -> None:
    scores = np.array([0.4, 0.9, 0.2, 0.6])

    assert threshold_for_budget(scores, n_flags) == pytest.approx(threshold)


def test_scores_that_are_all_the_same_flag_nothing() -> None:
    assert threshold_for_budget(np.full(10, 0.25), 5) > 0.25


@pytest.mark.parametrize(("review_cost", "n_flagged"), [(1.0, 4), (20.0, 1), (1_000.0, 0)])
def test_a_review_has_to_be_worth_what_it_costs(review_cost: float, n_flagged: int) -> None:
    scores = np.array([0.9, 0.7, 0.5, 0.3, 0.1])
    is_fraud = np.array([True, False, False, True, False])
    amount = np.array([100.0, 500.0, 500.0, 10.0, 500.0])

    threshold = threshold_for_costs(scores, is_fraud, amount, review_cost)

    assert (scores >= threshold).sum() == n_flagged
