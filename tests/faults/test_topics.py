"""Topics that lose, gain or change what they hold: every message counts once, or the worker stops.

It stops where going on would skip something, and nothing is lost by starting it again.
"""

from functools import partial

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions, NewTopic

from flagpost.core.effects import Counts
from flagpost.errors import FlagpostError, OffsetLost, TopicMissing
from flagpost.kafka.access import KafkaAccess
from flagpost.kafka.topics import ensure_topics
from tests.end_to_end.new_pipelines import NewPipeline
from tests.end_to_end.pipeline import LOG, Pipeline, Script, beginning_of
from tests.faults.conftest import Outcomes
from tests.faults.faultless import Faultless

ANSWER_SECONDS = 20


def poison_in_the_first_middle_and_last_place(
    new_pipeline: NewPipeline, faultless: Faultless
) -> None:
    pipeline = new_pipeline(topic_partitions=1, batch_messages=3, max_dead_share=1)
    good, bad = beginning_of(LOG, 6), [b"{", b"[]", b"null"]
    in_threes = [bad[0], *good[:2], good[2], bad[1], good[3], *good[4:], bad[2]]
    log = faultless.log.with_name("poison.json")
    log.write_bytes(b"\n".join(in_threes))
    pipeline.produce(log)

    pipeline.score_all()

    letters = pipeline.read_topic("dead_letter_topic")
    assert [letter.value() for letter in letters] == bad
    assert pipeline.counts() == Counts(n_in=9, n_clean=6, n_flagged=0, n_duplicate=0, n_dead=3)


def offset_out_of_range(new_pipeline: NewPipeline, faultless: Faultless) -> None:
    pipeline = new_pipeline(topic_partitions=1)
    topic = TopicPartition(str(pipeline.settings["topic"]), 0)
    half = faultless.n_lines // 2
    pipeline.produce(faultless.log, "--limit", half)
    pipeline.score_all()
    before = pipeline.counts(), pipeline.flagged()
    pipeline.produce(faultless.log, "--from-line", half + 1)
    topic.offset = before[0].n_in + 1  # one message that was never scored is gone
    admin = admin_of(pipeline)
    admin.delete_records([topic])[topic].result(ANSWER_SECONDS)

    stops(pipeline.start_member(), OffsetLost, f"offset {before[0].n_in}")

    assert (pipeline.counts(), pipeline.flagged()) == before


def topic_recreated_while_no_worker_runs(new_pipeline: NewPipeline, faultless: Faultless) -> None:
    pipeline = new_pipeline(kafka_client="confluent")
    pipeline.produce(faultless.log)
    pipeline.score_all()
    before = pipeline.counts(), pipeline.flagged()
    make_again(pipeline)
    pipeline.produce(faultless.log)
    pipeline.produce(faultless.log)  # longer than the stored positions

    stops(pipeline.start_member(), OffsetLost, "deleted and created again")

    assert (pipeline.counts(), pipeline.flagged()) == before
    pipeline.score_all(group="another")
    assert pipeline.flagged() == faultless.scores


def topic_recreated_while_a_worker_runs(new_pipeline: NewPipeline, faultless: Faultless) -> None:
    pipeline = new_pipeline()
    pipeline.produce(faultless.log)
    member = pipeline.start_member()
    faultless.wait_until_done(pipeline)
    before = pipeline.counts(), pipeline.flagged()
    make_again(pipeline)

    stops(member, OffsetLost, "")  # by its new id, or by an end before what was read

    assert (pipeline.counts(), pipeline.flagged()) == before


def labels_topic_deleted_while_transactions_come(
    client: str, new_pipeline: NewPipeline, faultless: Faultless
) -> None:
    pipeline = new_pipeline(kafka_client=client)
    transactions = faultless.log.with_name(f"transactions-{client}.json")
    lines = LOG.read_bytes().splitlines(keepends=True)
    transactions.write_bytes(b"".join(line for line in lines if b'"type":"label"' not in line))
    member = pipeline.start_member()
    sender = pipeline.start("producer.py", transactions, "--rate", 100)
    pipeline.wait_until_read(1)
    delete(pipeline, "labels_topic")

    stops(member, TopicMissing, str(pipeline.settings["labels_topic"]))

    sender.terminate()


def dead_letter_topic_deleted(new_pipeline: NewPipeline, faultless: Faultless) -> None:
    pipeline = new_pipeline(topic_partitions=1, batch_messages=10)
    good = faultless.log.with_name("good.json")
    pipeline.produce(good, "--limit", 100)
    member = pipeline.start_member()
    pipeline.wait_until_read(1)
    delete(pipeline, "dead_letter_topic")
    pipeline.produce(faultless.log)

    stops(member, TopicMissing, str(pipeline.settings["dead_letter_topic"]))

    assert pipeline.counts().n_dead == 0
    pipeline.score_all()  # which makes the topic anew
    assert pipeline.counts().n_dead == len(faultless.bad)
    faultless.check_dead_letters(pipeline)
    assert pipeline.flagged() == faultless.scores


def partitions_added(client: str, new_pipeline: NewPipeline, faultless: Faultless) -> None:
    pipeline = new_pipeline(topic_partitions=2, kafka_client=client)
    half = faultless.n_lines // 2
    pipeline.produce(faultless.log, "--limit", half)
    member = pipeline.start_member()
    pipeline.wait_until_read(1)
    add_partitions(pipeline, "topic", 4)
    pipeline.produce(faultless.log, "--from-line", half + 1)
    faultless.wait_until_done(pipeline)

    assert member.terminate() == 0
    assert member.errors.read_text().count("partitions added") == 1
    check_counts(pipeline, faultless)


def partitions_added_to_both_topics(
    client: str, new_pipeline: NewPipeline, faultless: Faultless
) -> None:
    """Labels change hands, for other transactions have their number modulo how many there are."""
    pipeline = new_pipeline(topic_partitions=2, kafka_client=client)
    third = faultless.n_lines // 3
    pipeline.produce(faultless.log, "--limit", third)
    add_partitions(pipeline, "labels_topic", 4)
    members = [pipeline.start_member() for _ in range(2)]
    pipeline.wait_until(lambda: is_shared(pipeline, 2, 4))
    add_partitions(pipeline, "topic", 4)
    pipeline.produce(faultless.log, "--from-line", third + 1, "--limit", third)
    add_partitions(pipeline, "labels_topic", 7)
    pipeline.wait_until(lambda: is_shared(pipeline, 4, 7))
    pipeline.produce(faultless.log, "--from-line", 2 * third + 1)
    faultless.wait_until_done(pipeline)

    assert is_shared(pipeline, 4, 7)
    assert [member.terminate() for member in members] == [0, 0]
    check_counts(pipeline, faultless)
    n_labels = faultless.n_labels
    assert pipeline.counts("labels_topic") == Counts(n_labels, n_labels)


def is_shared(pipeline: Pipeline, n_transactions: int, n_labels: int) -> bool:
    """Whether two members have half of the transactions each, and the labels that follow."""
    shares, labels = pipeline.owned(), pipeline.owned("labels_topic")
    followed = {owner: {n % n_transactions for n in numbers} for owner, numbers in labels.items()}
    return (
        sorted(map(len, shares.values())) == [n_transactions // 2] * 2
        and sum(map(len, labels.values())) == n_labels
        and followed == shares
    )


def check_counts(pipeline: Pipeline, faultless: Faultless) -> None:
    counts = pipeline.counts()
    assert (counts.n_in, counts.n_dead) == (faultless.n_in, len(faultless.bad))
    assert counts.n_duplicate == 0
    faultless.check_dead_letters(pipeline)


def add_partitions(pipeline: Pipeline, setting: str, number: int) -> None:
    topic = str(pipeline.settings[setting])
    admin = admin_of(pipeline)
    wider = NewPartitions(topic, number)
    admin.create_partitions([wider])[topic].result(ANSWER_SECONDS)


def stops(member: Script, error: type[FlagpostError], saying: str) -> None:
    assert member.wait() == error.exit_code, member.errors.read_text()
    last_line = member.errors.read_text().splitlines()[-1]
    assert last_line.startswith("error: ")
    assert saying in last_line


def admin_of(pipeline: Pipeline) -> AdminClient:
    """Return a client; whoever asks it something has to keep it until the answer."""
    return AdminClient({"bootstrap.servers": str(pipeline.settings["kafka_bootstrap"])})


def make_again(pipeline: Pipeline) -> None:
    topic = str(pipeline.settings["topic"])
    delete(pipeline, "topic")
    admin = admin_of(pipeline)
    admin.create_topics([NewTopic(topic, 4, 1)])[topic].result(ANSWER_SECONDS)
    ensure_topics(KafkaAccess(str(pipeline.settings["kafka_bootstrap"])), {topic: 4})


def delete(pipeline: Pipeline, setting: str) -> None:
    topic = str(pipeline.settings[setting])
    admin = admin_of(pipeline)
    admin.delete_topics([topic])[topic].result(ANSWER_SECONDS)


FAULTS = {
    "dead-letter topic deleted": dead_letter_topic_deleted,
    "partitions added": partial(partitions_added, "kafka-python"),
    "partitions added, confluent": partial(partitions_added, "confluent"),
    "partitions added to both topics": partial(partitions_added_to_both_topics, "kafka-python"),
    "partitions added to both topics, confluent": partial(
        partitions_added_to_both_topics, "confluent"
    ),
    "labels topic deleted while transactions come": partial(
        labels_topic_deleted_while_transactions_come, "kafka-python"
    ),
    "labels topic deleted while transactions come, confluent": partial(
        labels_topic_deleted_while_transactions_come, "confluent"
    ),
    "topic recreated while a worker runs": topic_recreated_while_a_worker_runs,
    "topic recreated while no worker runs": topic_recreated_while_no_worker_runs,
    "offset out of range": offset_out_of_range,
    "poison in the first, middle and last place": poison_in_the_first_middle_and_last_place,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_nothing_is_lost_or_doubled(fault: str, outcomes: Outcomes) -> None:
    outcomes[fault].result()
