import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flagpost.training.metrics import flagging_metrics, ranking_metrics, threshold_for

probabilities = st.lists(st.integers(1, 8).map(lambda n: n / 9), min_size=1, max_size=60)


@given(probabilities, st.floats(0, 1_000))
def test_never_more_are_flagged_than_asked_for_and_no_tie_is_cut(
    scores: list[float], flags_per_thousand: float
) -> None:
    ranked = np.sort(scores)[::-1]
    wanted = int(ranked.size * flags_per_thousand / 1_000)

    n_flagged = int((ranked >= threshold_for(ranked, flags_per_thousand)).sum())

    # All that score more than the first one left out are flagged, and nothing else is.
    first_left_out = ranked[wanted] if wanted < ranked.size else 0.0
    assert n_flagged == int((ranked > first_left_out).sum()) <= wanted


@pytest.mark.parametrize(
    ("flags_per_thousand", "threshold"),
    [(250, 0.75), (500, 0.5), (999, 0.3), (0, 0.95), (1_000, 0.0)],
)
def test_the_threshold_lies_half_way_between_two_scores(
    flags_per_thousand: float, threshold: float
) -> None:
    scores = np.array([0.4, 0.9, 0.2, 0.6])

    assert threshold_for(scores, flags_per_thousand) == pytest.approx(threshold)


def test_scores_that_are_all_the_same_flag_nothing() -> None:
    assert threshold_for(np.full(10, 0.25), 500) > 0.25


def test_precision_and_recall() -> None:
    is_fraud = np.array([True, True, True, False, False])
    is_flagged = np.array([True, False, False, True, False])

    assert flagging_metrics(is_fraud, is_flagged) == {"precision": 1 / 2, "recall": 1 / 3}


def test_without_flags_or_frauds_they_are_zero() -> None:
    none = np.zeros(3, np.bool_)

    assert flagging_metrics(none, none) == {"precision": 0.0, "recall": 0.0}


def test_a_perfect_ranking_scores_one_and_a_reversed_one_zero() -> None:
    is_fraud = np.array([False, False, True])

    assert ranking_metrics(is_fraud, np.array([0.1, 0.2, 0.3])) == {
        "roc_auc": 1.0,
        "average_precision": 1.0,
    }
    assert ranking_metrics(is_fraud, np.array([0.3, 0.2, 0.1]))["roc_auc"] == 0.0
