"""Members that die, freeze, stop, come and go: the table is that of a run without a fault."""

import signal
from functools import partial

import psutil
import pytest

from flagpost.errors import MemberReplaced
from flagpost.model import FraudModel
from flagpost.torture.command import write_stricter_model
from flagpost.torture.dying_member import Step
from tests.end_to_end.new_pipelines import NewPipeline
from tests.end_to_end.pipeline import Pipeline, Script, finish
from tests.faults.conftest import Outcomes
from tests.faults.faultless import Faultless

UNENDING_SECONDS = 300
"""A session that ends later than a test waits: nobody goes on because of it."""
SHORTEST_SESSION_SECONDS = 6
RATE = 500


def kill_9(step: Step, client: str, new_pipeline: NewPipeline, faultless: Faultless) -> None:
    pipeline = new_pipeline(
        kafka_client=client,
        batch_messages=300,
        member_id="scorer",
        session_seconds=UNENDING_SECONDS,
    )
    pipeline.produce(faultless.log)
    victim = pipeline.start_dying_member(step, batch=3)
    assert victim.wait() == -signal.SIGKILL, victim.errors.read_text()
    assert pipeline.counts().n_in < faultless.n_in

    pipeline.score_all()

    faultless.check(pipeline)


def sigstop_past_the_session_timeout(
    client: str, new_pipeline: NewPipeline, faultless: Faultless
) -> None:
    pipeline = new_pipeline(
        kafka_client=client, batch_messages=50, session_seconds=SHORTEST_SESSION_SECONDS
    )
    half = faultless.n_lines // 2
    pipeline.produce(faultless.log, "--limit", half)
    zombie = pipeline.start_freezing_member(Step.AFTER_SCORING)
    pipeline.wait_until(lambda: is_frozen(zombie))
    heir = pipeline.start_member()
    pipeline.wait_until(lambda: pipeline.n_done() == half)
    written = pipeline.written()

    zombie.process.send_signal(signal.SIGCONT)

    pipeline.wait_until(partial(zombie.says, "fenced, letting go"))
    assert pipeline.written() == written
    assert heir.terminate() == 0
    pipeline.produce(faultless.log, "--from-line", half + 1)
    faultless.wait_until_done(pipeline)
    assert zombie.terminate() == 0
    faultless.check(pipeline)


def members_join_and_leave(new_pipeline: NewPipeline, faultless: Faultless) -> None:
    pipeline = new_pipeline(topic_partitions=8, batch_messages=200)
    feed = start_slowly(pipeline, faultless)
    members = [pipeline.start_member()]
    for _ in range(3):
        members.append(pipeline.start_member())
        pipeline.wait_until(partial(members[-1].says, "taken over"))
        assert members.pop(0).terminate() == 0
    assert feed.wait() == 0
    faultless.wait_until_done(pipeline)

    assert members[0].terminate() == 0
    faultless.check(pipeline)


def rolling_restart_of_static_members(new_pipeline: NewPipeline, faultless: Faultless) -> None:
    pipeline = new_pipeline(topic_partitions=4, session_seconds=UNENDING_SECONDS)
    feed = start_slowly(pipeline, faultless)
    members = {name: pipeline.start_member(member_id=name) for name in ("one", "two")}
    for member in members.values():
        pipeline.wait_until(partial(member.says, "taken over"))
    for name, member in members.items():
        assert member.terminate() == 0
        members[name] = pipeline.start_member(member_id=name)
        pipeline.wait_until(partial(members[name].says, "taken over"))
    assert feed.wait() == 0
    faultless.wait_until_done(pipeline)

    for member in members.values():
        assert member.terminate() == 0
    faultless.check(pipeline)


def a_second_process_under_one_id(new_pipeline: NewPipeline, faultless: Faultless) -> None:
    pipeline = new_pipeline(member_id="scorer", session_seconds=UNENDING_SECONDS)
    feed = start_slowly(pipeline, faultless)
    former = pipeline.start_member()
    pipeline.wait_until_read(1)
    newcomer = pipeline.start_member()

    assert former.wait() == MemberReplaced.exit_code
    assert "FLAGPOST_MEMBER_ID" in former.errors.read_text().splitlines()[-1]
    pipeline.scripts.remove(former)  # it has failed, as it should
    assert feed.wait() == 0
    faultless.wait_until_done(pipeline)
    assert newcomer.terminate() == 0
    faultless.check(pipeline)


def model_swapped(new_pipeline: NewPipeline, faultless: Faultless) -> None:
    pipeline = new_pipeline()
    half = faultless.n_lines // 2
    stricter = write_stricter_model(pipeline.directory)
    threshold = FraudModel.load(stricter).threshold
    pipeline.produce(faultless.log, "--limit", half)
    pipeline.score_all()
    before = pipeline.flagged()
    pipeline.produce(faultless.log, "--from-line", half + 1)
    pipeline.score_all(model=stricter)

    after = faultless.scores.keys() - before.keys()
    kept = {name for name in after if float.fromhex(faultless.scores[name]) >= threshold}
    assert 0 < len(kept) < len(after)
    assert pipeline.flagged() == {name: faultless.scores[name] for name in before.keys() | kept}
    assert pipeline.counts().n_in == faultless.n_in
    assert len(pipeline.model_versions()) == 2
    faultless.check_dead_letters(pipeline)


def is_frozen(script: Script) -> bool:
    return psutil.Process(script.process.pid).status() == psutil.STATUS_STOPPED


def start_slowly(pipeline: Pipeline, faultless: Faultless) -> Script:
    """Send the log, with time for something to happen meanwhile."""
    finish(pipeline.start("producer.py", faultless.log, "--limit", 1))
    return pipeline.start("producer.py", faultless.log, "--from-line", 2, "--rate", RATE)


FAULTS = {
    "sigstop past the session timeout": partial(sigstop_past_the_session_timeout, "kafka-python"),
    "sigstop past the session timeout, confluent": partial(
        sigstop_past_the_session_timeout, "confluent"
    ),
    "members join and leave": members_join_and_leave,
    "rolling restart of static members": rolling_restart_of_static_members,
    "a second process under one id": a_second_process_under_one_id,
    "model swapped": model_swapped,
    "kill -9 after scoring": partial(kill_9, Step.AFTER_SCORING, "kafka-python"),
    "kill -9 before the database commit": partial(kill_9, Step.BEFORE_DATABASE_COMMIT, "confluent"),
    "kill -9 before the database's answer": partial(kill_9, Step.AFTER_SENDING, "kafka-python"),
    "kill -9 after the database commit": partial(
        kill_9, Step.AFTER_DATABASE_COMMIT, "kafka-python"
    ),
    "kill -9 before the Kafka commit": partial(kill_9, Step.BEFORE_KAFKA_COMMIT, "confluent"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_table_is_as_without_a_fault(fault: str, outcomes: Outcomes) -> None:
    outcomes[fault].result()
