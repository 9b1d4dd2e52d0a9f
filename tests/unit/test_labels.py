import pytest

from flagpost.errors import UnreadableInput
from flagpost.training.labels import LabelBook


def label(transaction_id: str, is_fraud: str, known_at: str) -> bytes:
    return (
        f'{{"type":"label","transaction_id":{transaction_id},"user_id":"C1",'
        f'"is_fraud":{is_fraud},"known_at":"{known_at}","source":"review"}}'
    ).encode()


def test_without_a_label_a_transaction_is_genuine() -> None:
    book = LabelBook()
    book.add([
        label('"T1"', "true", "2025-01-03T00:00:00Z"),
        label('"T2"', "false", "2025-01-03T00:00:00Z"),
    ])  # fmt: skip

    assert book.frauds(["T2", "T1", "T3"]).tolist() == [False, True, False]
    assert len(book) == 2


@pytest.mark.parametrize("in_order", [True, False])
@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("2025-01-03T10:00:00Z", "2025-01-04T09:00:00Z"),
        ("2025-01-03T10:00:00Z", "2025-01-03T10:00:00.5Z"),
        ("2025-01-03T10:00:00+02:00", "2025-01-03T09:00:00Z"),
    ],
)
def test_what_became_known_later_corrects_what_was_known_in_whatever_order_they_come(
    earlier: str, later: str, *, in_order: bool
) -> None:
    lines = [label('"T1"', "true", earlier), label('"T1"', "false", later)]
    book = LabelBook()

    book.add(lines if in_order else reversed(lines))

    assert book.frauds(["T1"]).tolist() == [False]


def test_of_two_labels_of_the_same_moment_the_one_that_comes_last_stands() -> None:
    book = LabelBook()
    book.add([label('"T1"', "true", "2025-01-03T00:00:00Z")])
    book.add([label('"T1"', "false", "2025-01-03T00:00:00Z")])

    assert book.frauds(["T1"]).tolist() == [False]


def test_an_integer_id_is_its_decimal_text() -> None:
    book = LabelBook()
    book.add([label("17", "true", "2025-01-03T00:00:00Z")])

    assert book.frauds(["17"]).tolist() == [True]


@pytest.mark.parametrize(
    ("line", "field"),
    [
        (b'{"type":"label","is_fraud":true,"known_at":"2025-01-03T00:00:00Z"}', "transaction_id"),
        (label('"T1"', '"yes"', "2025-01-03T00:00:00Z"), "is_fraud"),
        (label('"T1"', "true", "yesterday"), "known_at"),
        (label('"T1"', "true", "2025-01-03T00:00:00"), "known_at"),
    ],
)
def test_a_label_that_cannot_be_read_is_named_with_its_field(line: bytes, field: str) -> None:
    with pytest.raises(UnreadableInput, match=f"label line cannot be read: .*{field}"):
        LabelBook().add([line])
