"""What is read of a dead letter: whose headers are whose."""

import pytest

from flagpost.dead_letters.letter import REPLAY_OF, LetterId, read_letter
from flagpost.dead_letters.report import printable
from flagpost.errors import Refused

OURS = [
    ("__connect.errors.topic", b"payments"),
    ("__connect.errors.partition", b"3"),
    ("__connect.errors.offset", b"41"),
    ("__connect.errors.exception.message", b"`amount` is missing."),
    ("flagpost.reason", b"missing_field"),
    ("flagpost.field", b"amount"),
]


def test_the_headers_of_a_message_that_was_dead_before_stay_with_it() -> None:
    before = [("trace", b"1"), ("flagpost.reason", b"not_json"), (REPLAY_OF, b"payments/0/1")]

    letter = read_letter(None, b"x", [*before, *OURS], None)

    assert letter is not None
    assert (letter.id, letter.reason, letter.field) == (
        LetterId("payments", 3, 41), "missing_field", "amount"
    )  # fmt: skip
    assert letter.headers == before
    assert letter.headers_to_replay == [*before[:2], (REPLAY_OF, b"payments/3/41")]


@pytest.mark.parametrize(
    "headers", [[], [("trace", b"1")], OURS[1:], [OURS[0], OURS[1], (OURS[2][0], b"x")]]
)
def test_a_message_that_does_not_say_where_it_was_is_no_dead_letter(
    headers: list[tuple[str, bytes | None]],
) -> None:
    assert read_letter(b"k", b"v", headers, 0) is None


def test_an_id_is_read_as_it_is_shown() -> None:
    for text in ("payments/3/41", "a/b/0/0"):
        assert str(LetterId.parse(text)) == text


@pytest.mark.parametrize("text", ["", "payments", "payments/3", "/3/41", "payments/-1/41"])
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="expected TOPIC/PARTITION/OFFSET"):
        LetterId.parse(text)


@pytest.mark.parametrize(
    "content", [b"\x1b]0;mine\x07", b"\xc2\x9b31m", b"\xe2\x80\xaeevil", b"\r\xff"]
)
def test_what_a_sender_wrote_does_nothing_to_a_terminal(content: bytes) -> None:
    assert printable(content).isprintable()


def test_lines_and_letters_stay_as_they_are() -> None:
    assert printable('{\n\t"ü": 1 }'.encode()) == '{\n\t"ü": 1 }'
