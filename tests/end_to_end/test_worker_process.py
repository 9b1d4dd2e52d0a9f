"""consumer_transform.py as a process: signals, a database that is away, and what it says."""

import time
from collections.abc import Callable

from sqlalchemy.engine import make_url

from flagpost.errors import TopicMissing
from flagpost.torture.database_proxy import proxy_before
from tests.end_to_end.pipeline import LOG, Pipeline, Scores, transactions_of

NewPipeline = Callable[..., Pipeline]
REFUSING_SECONDS = 2.0
"""Long enough for further attempts, which are refused."""
N_TRANSACTIONS = len(transactions_of(LOG))


def test_while_the_database_is_away_the_worker_waits_and_then_goes_on(
    new_pipeline: NewPipeline, offline: Scores
) -> None:
    pipeline = new_pipeline(batch_messages=500)
    database_url = str(pipeline.settings["database_url"])
    with proxy_before(database_url) as proxy:
        pipeline.produce(LOG, "--limit", 8_000)
        member = pipeline.start_member(database_url=proxy.database_url)
        pipeline.wait_until_read(1)
        proxy.cut()
        pipeline.produce(LOG, "--from-line", 8_001)
        pipeline.wait_until(lambda: member.says("waiting for a server"))
        assert pipeline.counts().n_in < N_TRANSACTIONS
        time.sleep(REFUSING_SECONDS)
        proxy.restore()
        pipeline.wait_until_read(N_TRANSACTIONS)

        assert member.terminate() == 0

    assert pipeline.flagged() == offline
    assert pipeline.counts().n_in == N_TRANSACTIONS
    said = member.errors.read_text()
    assert said.count("waiting for a server") == said.count("going on") == 1
    assert str(make_url(database_url).password) not in said


def test_sigterm_ends_in_good_order_and_a_later_run_completes(
    new_pipeline: NewPipeline, offline: Scores
) -> None:
    pipeline = new_pipeline(batch_messages=5, kafka_client="confluent")
    pipeline.produce(LOG)
    member = pipeline.start_member()
    pipeline.wait_until_read(1)

    assert member.terminate() == 0

    done = pipeline.counts().n_in
    assert done < N_TRANSACTIONS
    assert member.output.read_text().startswith(f"read {done:,} ")
    pipeline.score_all(batch_messages=10_000)
    assert pipeline.flagged() == offline
    assert pipeline.counts().n_in == N_TRANSACTIONS


def test_a_missing_topic_ends_it_with_one_line(new_pipeline: NewPipeline) -> None:
    pipeline = new_pipeline()

    member = pipeline.start_member("--until-caught-up")

    assert member.wait() == TopicMissing.exit_code
    [line] = member.errors.read_text().splitlines()
    assert line.startswith("error: ")
    assert str(pipeline.settings["topic"]) in line
