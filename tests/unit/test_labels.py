import numpy as np

from flagpost.label_events import LabelDecoder, Labels
from flagpost.training.labels import find_frauds, in_order_of_knowing


def labels(*said: tuple[str, bool, int]) -> Labels:
    """Transaction, fraud or not, known at so many seconds since 1970."""
    lines = [
        f'{{"transaction_id":"{name}","timestamp":0,"is_fraud":{str(fraud).lower()},'
        f'"known_at":{known_at}}}'.encode()
        for name, fraud, known_at in said
    ]
    decoded, bad = LabelDecoder().decode(lines, 2**62)
    assert not bad
    return in_order_of_knowing(decoded)


def test_without_a_label_a_transaction_is_genuine() -> None:
    known = labels(("T1", True, 3), ("T2", False, 3))
    assert find_frauds(known, ["T2", "T1", "T3"]).tolist() == [False, True, False]


def test_what_became_known_later_corrects_what_was_known_in_whatever_order_they_come() -> None:
    assert find_frauds(labels(("T1", True, 5), ("T1", False, 9)), ["T1"]).tolist() == [False]
    assert find_frauds(labels(("T1", False, 9), ("T1", True, 5)), ["T1"]).tolist() == [False]


def test_what_was_not_known_yet_is_left_out() -> None:
    known = labels(("T1", True, 5), ("T1", False, 9), ("T2", True, 6))
    assert find_frauds(known, ["T1", "T2"], 5_000_000).tolist() == [True, False]
    assert find_frauds(known, ["T1", "T2"], 4_999_999).tolist() == [False, False]


def test_of_two_labels_of_the_same_moment_the_one_that_says_fraud_stands() -> None:
    assert find_frauds(labels(("T1", True, 5), ("T1", False, 5)), ["T1"]).tolist() == [True]


def test_labels_are_sorted_by_the_time_of_knowing() -> None:
    known = labels(("T1", True, 9), ("T2", True, 5), ("T3", True, 7))
    assert known.transaction_id == ["T2", "T3", "T1"]
    assert np.array_equal(known.known_at_us, [5_000_000, 7_000_000, 9_000_000])
