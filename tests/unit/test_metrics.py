import numpy as np

from flagpost.training.metrics import calibration, flagging_metrics, ranking_metrics


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


def test_calibration_compares_what_was_predicted_with_what_happened() -> None:
    is_fraud = np.array([False, False, True, True, False])

    bins = calibration(is_fraud, np.array([0.0, 0.0005, 0.95, 1.0, 0.1]))

    assert [(each["from"], each["transactions"], each["observed"]) for each in bins] == [
        (0.0, 2, 0.0),
        (0.1, 1, 0.0),
        (0.9, 2, 1.0),
    ]
    assert bins[-1]["predicted"] == 0.975
