"""Half of the stream is broken: what is good is scored, what is bad is kept with its reason."""

import json
import random
from collections import Counter
from collections.abc import Callable

import pytest

from flagpost.core.effects import Counts
from flagpost.errors import TooManyDeadLetters
from tests.end_to_end.pipeline import (
    LOG,
    Pipeline,
    Scores,
    beginning_of,
    header,
    origin_of,
    place_of,
    transactions_of,
)

N_GOOD = N_BAD = 10_000

BAD = {
    "not_json": '{{"transaction_id": "B{n}", "amount"',
    "not_an_object": '["B{n}"]',
    "missing_field": '{{"transaction_id": "B{n}", "timestamp": 0, "user_id": "C00001"}}',
    "wrong_type": '{{"transaction_id": "B{n}", "timestamp": 0, "user_id": "C1", "amount": true}}',
    "out_of_range": '{{"transaction_id": "B{n}", "timestamp": 0, "user_id": "C1", "amount": 1e99}}',
    "negative_amount": '{{"transaction_id":"B{n}","timestamp":0,"user_id":"C1","amount":-1}}',
    "finer_than_a_cent": '{{"transaction_id":"B{n}","timestamp":0,"user_id":"C1","amount":0.001}}',
    "bad_timestamp": '{{"transaction_id":"B{n}","timestamp":"now","user_id":"C1","amount":1}}',
    "before_1970": '{{"transaction_id":"B{n}","timestamp":-86400,"user_id":"C1","amount":1}}',
    "in_the_future": '{{"transaction_id":"B{n}","timestamp":99999999999,"user_id":"C","amount":1}}',
    "empty_id": '{{"transaction_id":"","timestamp":{n},"user_id":"C00001","amount":1}}',
    "duplicate_field": '{{"transaction_id":{n},"timestamp":0,"user_id":1,"amount":1,"amount":1}}',
}
"""A message of each reason; no two messages made of them are the same."""


def bad_messages() -> dict[bytes, str]:
    """Return 10,000 messages and the reason for which each is refused."""
    kinds = list(BAD.items())
    made = {}
    for n in range(N_BAD):
        reason, text = kinds[n % len(kinds)]
        made[text.format(n=n).encode()] = reason
    return made


@pytest.fixture(scope="module")
def filled(
    new_pipeline: Callable[..., Pipeline], tmp_path_factory: pytest.TempPathFactory
) -> Pipeline:
    """A pipeline whose topic holds good and bad messages in no order at all."""
    good = beginning_of(LOG, N_GOOD)
    chooser = random.Random(1)
    is_good = [True] * len(good) + [False] * N_BAD
    chooser.shuffle(is_good)
    of_kind = {True: iter(good), False: iter(bad_messages())}
    log = tmp_path_factory.mktemp("logs") / "half-broken.json"
    log.write_bytes(b"\n".join(next(of_kind[kind]) for kind in is_good))
    pipeline = new_pipeline()
    pipeline.produce(log)
    return pipeline


def test_all_good_messages_are_scored_and_each_bad_one_is_a_dead_letter_once(
    filled: Pipeline, offline: Scores
) -> None:
    good_ids = {json.loads(line)["transaction_id"] for line in transactions_of(LOG, N_GOOD)}
    expected = {name: score for name, score in offline.items() if name in good_ids}
    reasons = bad_messages()

    filled.score_all(max_dead_share=1)

    assert filled.flagged() == expected
    assert filled.counts() == Counts(
        n_in=N_GOOD + N_BAD,
        n_clean=N_GOOD - len(expected),
        n_flagged=len(expected),
        n_duplicate=0,
        n_dead=N_BAD,
    )
    sent = {place_of(m): m.value() for m in filled.read_topic() if m.value() in reasons}
    letters = filled.read_topic("dead_letter_topic")
    assert len(letters) == len(sent) == N_BAD
    assert {origin_of(letter): letter.value() for letter in letters} == sent
    found = Counter((letter.value(), header(letter, "flagpost.reason")) for letter in letters)
    assert found == Counter(reasons.items())


def test_a_source_gone_bad_stops_the_worker_before_the_batch_takes_effect(
    filled: Pipeline, new_pipeline: Callable[..., Pipeline]
) -> None:
    other = new_pipeline(topic=filled.settings["topic"])

    member = other.start_member("--until-caught-up")

    assert member.wait() == TooManyDeadLetters.exit_code
    last_line = member.errors.read_text().splitlines()[-1]
    assert last_line.startswith("error: ")
    assert "FLAGPOST_MAX_DEAD_SHARE=0.05" in last_line
    counts = other.counts()
    assert counts.n_in < 1_000  # only what was too little to judge
    assert len(other.read_topic("dead_letter_topic")) == counts.n_dead
