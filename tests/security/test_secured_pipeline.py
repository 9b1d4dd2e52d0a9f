"""The whole pipeline, as processes, where nothing works without TLS and passwords."""

from contextlib import ExitStack, closing
from pathlib import Path

from flagpost.postgres.upgrade import upgrade
from tests.end_to_end.pipeline import LOG, Pipeline, evaluated, finish, flagged_in
from tests.security.conftest import PASSWORD
from tests.security.kafka import SecureKafka
from tests.security.postgres import SecurePostgres


def test_scores_and_dead_letters_arrive_through_tls_with_both_clients(
    kafka: SecureKafka, postgres: SecurePostgres, tmp_path: Path
) -> None:
    upgrade(postgres.verified_url)
    log = tmp_path / "one-bad.json"
    log.write_bytes(LOG.read_bytes() + b'{"transaction_id": "B1"}\n')
    with ExitStack() as opened:
        pipelines = [
            opened.enter_context(closing(pipeline_of(kafka, postgres, tmp_path, client)))
            for client in ("kafka-python", "confluent")
        ]
        for producer in [pipeline.start("producer.py", log) for pipeline in pipelines]:
            finish(producer)
        members = [pipeline.start_member("--until-caught-up") for pipeline in pipelines]
        offline = flagged_in(evaluated(LOG, tmp_path))
        for member in members:
            finish(member)

        for pipeline in pipelines:
            assert (pipeline.counts().n_in, pipeline.counts().n_dead) == (14_983, 1)
            assert pipeline.counts().n_flagged == len(offline)
        assert pipelines[0].flagged() == offline
        for script in (script for pipeline in pipelines for script in pipeline.scripts):
            assert PASSWORD not in script.output.read_text() + script.errors.read_text()


def pipeline_of(
    kafka: SecureKafka, postgres: SecurePostgres, directory: Path, client: str
) -> Pipeline:
    settings = kafka.settings(
        database_url=postgres.verified_url,
        kafka_client=client,
        topic=client,
        labels_topic=f"{client}.labels",
        dead_letter_topic=f"{client}.dead",
        group=client,
    )
    home = directory / client
    home.mkdir()
    return Pipeline(home, settings)
