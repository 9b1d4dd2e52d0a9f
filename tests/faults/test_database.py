"""A database that cannot be reached: the table is that of a run without a fault."""

import time
from collections.abc import Callable
from functools import partial

import pytest
from confluent_kafka.admin import AdminClient

from flagpost.torture.database_proxy import DatabaseProxy, proxy_before
from tests.end_to_end.new_pipelines import NewPipeline
from tests.end_to_end.pipeline import Pipeline
from tests.faults.conftest import Outcomes
from tests.faults.faultless import Faultless

SHORTEST_SESSION_SECONDS = 6
REFUSED_SECONDS = 60
N_LOST = 5
RATE = 500


def refuses_connections_for_a_minute(new_pipeline: NewPipeline, faultless: Faultless) -> None:
    pipeline = new_pipeline(batch_messages=200, session_seconds=SHORTEST_SESSION_SECONDS)
    with proxy_before(str(pipeline.settings["database_url"])) as proxy:
        member = pipeline.start_member(database_url=proxy.database_url)
        pipeline.produce(faultless.log, "--limit", faultless.n_lines // 2)
        pipeline.wait_until_read(1)
        joined = member_ids(pipeline)
        proxy.cut()
        pipeline.produce(faultless.log, "--from-line", faultless.n_lines // 2 + 1)
        pipeline.wait_until(lambda: member.says("waiting for a server"))
        time.sleep(REFUSED_SECONDS)
        assert pipeline.counts().n_in < faultless.n_in
        proxy.restore()
        faultless.wait_until_done(pipeline)
        assert member_ids(pipeline) == joined, "the membership was lost"
        assert member.terminate() == 0
    faultless.check(pipeline)


def connection_cut_at_commit(
    arm: Callable[[DatabaseProxy], None], new_pipeline: NewPipeline, faultless: Faultless
) -> None:
    pipeline = new_pipeline(batch_messages=50)
    pipeline.produce(faultless.log, "--limit", 1)
    with proxy_before(str(pipeline.settings["database_url"])) as proxy:
        member = pipeline.start_member(database_url=proxy.database_url)
        pipeline.wait_until(lambda: member.says("taken over"))
        feed = pipeline.start("producer.py", faultless.log, "--from-line", 2, "--rate", RATE)
        for _ in range(N_LOST):
            arm(proxy)
            pipeline.wait_until(lambda: not proxy.is_armed)
        assert feed.wait() == 0
        faultless.wait_until_done(pipeline)
        assert member.terminate() == 0
    assert member.says("waiting for a server")
    faultless.check(pipeline)


def member_ids(pipeline: Pipeline) -> list[str]:
    """Return what Kafka calls the members; a member that joins anew gets another id."""
    admin = AdminClient({"bootstrap.servers": str(pipeline.settings["kafka_bootstrap"])})
    group = str(pipeline.settings["group"])
    description = admin.describe_consumer_groups([group])[group].result(20)
    return [member.member_id for member in description.members]


FAULTS = {
    "refuses connections for a minute": refuses_connections_for_a_minute,
    "connection cut before COMMIT arrives": partial(
        connection_cut_at_commit, DatabaseProxy.lose_next_commit
    ),
    "connection cut before the reply to COMMIT": partial(
        connection_cut_at_commit, DatabaseProxy.lose_next_commit_reply
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_table_is_as_without_a_fault(fault: str, outcomes: Outcomes) -> None:
    outcomes[fault].result()
