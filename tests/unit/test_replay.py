"""Which lines of a log are sent, and when."""

import json
from collections.abc import Sequence
from threading import Event

import numpy as np
import pytest

from flagpost.errors import BadConfiguration, Undelivered
from flagpost.events import AS_DESIGNED
from flagpost.kafka.publisher import Receipt
from flagpost.logs import LogBatch
from flagpost.pace import choose_pace, flat_out
from flagpost.replay import Replay, select_lines


def batch(first_line: int, values: list[bytes], labels: Sequence[int] = ()) -> LogBatch:
    is_label = np.zeros(len(values), np.bool_)
    is_label[list(labels)] = True
    return LogBatch(np.arange(first_line, first_line + len(values)), values, is_label, 1.0)


def numbered(first_line: int, count: int) -> LogBatch:
    return batch(first_line, [b"%d" % n for n in range(first_line, first_line + count)])


class ListPublisher:
    def __init__(self, room: int = 1_000_000) -> None:
        self.published: list[tuple[str, bytes | None, bytes]] = []
        self._room = room

    def publish(self, topic: str, keys: Sequence[bytes | None], values: Sequence[bytes]) -> None:
        if len(self.published) >= self._room:
            raise Undelivered("no room")
        self.published += [(topic, key, value) for key, value in zip(keys, values, strict=True)]

    def settle(self) -> None:
        pass

    def finish(self) -> Receipt:
        return Receipt()


def replay(publisher: ListPublisher, stop: Event | None = None) -> Replay:
    return Replay(publisher, "transactions", "labels", flat_out, AS_DESIGNED, stop or Event())


@pytest.mark.parametrize(
    ("from_line", "limit", "lines"),
    [
        (1, None, range(1, 31)),
        (8, None, range(8, 31)),
        (8, 5, range(8, 13)),
        (25, 100, range(25, 31)),
        (31, None, range(0)),
        (10, 11, range(10, 21)),
    ],
)
def test_lines_are_selected_by_their_number(
    from_line: int, limit: int | None, lines: range
) -> None:
    batches = [numbered(1, 10), numbered(11, 10), numbered(21, 10)]

    chosen = list(select_lines(batches, from_line, limit))

    assert [int(value) for part in chosen for value in part.values] == list(lines)
    assert [int(n) for part in chosen for n in part.line_numbers] == list(lines)


def test_labels_go_ahead_of_transactions_and_both_are_keyed_by_user() -> None:
    values = [b'{"user_id": "a"}', b'{"user_id": "b", "type": "label"}', b"nonsense"]
    publisher = ListPublisher()

    outcome = replay(publisher).run([batch(1, values, labels=[1])], lambda _: None)

    assert outcome.resume_at_line is None
    assert publisher.published == [
        ("labels", b"b", values[1]),
        ("transactions", b"a", values[0]),
        ("transactions", None, values[2]),
    ]


def test_a_stop_names_the_first_line_not_sent() -> None:
    stop = Event()
    publisher = ListPublisher()

    outcome = replay(publisher, stop).run([numbered(1, 10), numbered(11, 10)], lambda _: stop.set())

    assert outcome.resume_at_line == 11
    assert len(publisher.published) == 10


def test_a_broker_that_fails_ends_the_replay_like_a_stop() -> None:
    outcome = replay(ListPublisher(room=10)).run(
        [numbered(1, 10), numbered(11, 10)], lambda _: None
    )

    assert outcome.resume_at_line == 11


def test_a_rate_goes_on_across_batches() -> None:
    pace = choose_pace(rate=2.0, speed=None, mapping=AS_DESIGNED)

    assert pace(numbered(1, 3)).tolist() == [0, 0.5, 1]
    assert pace(numbered(4, 2)).tolist() == [1.5, 2]


def transaction(seconds: int) -> bytes:
    return json.dumps({"timestamp": 1_700_000_000 + seconds}).encode()


def test_a_speed_divides_the_time_between_events_and_never_goes_back() -> None:
    pace = choose_pace(rate=None, speed=10.0, mapping=AS_DESIGNED)
    label = b'{"type": "label", "timestamp": 1900000000}'

    first = pace(batch(1, [b"?", transaction(0), transaction(20), transaction(10)]))
    second = pace(batch(5, [label, b"?", transaction(50)], labels=[0]))

    assert first.tolist() == [0, 0, 2, 2]
    assert second.tolist() == [2, 2, 5]


def test_a_rate_and_a_speed_exclude_each_other() -> None:
    with pytest.raises(BadConfiguration, match="--rate and --speed"):
        choose_pace(rate=1.0, speed=1.0, mapping=AS_DESIGNED)
