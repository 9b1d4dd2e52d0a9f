"""Pipelines that share two servers and nothing else."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager

import psycopg
import pytest
from psycopg.sql import SQL, Identifier
from sqlalchemy.engine import make_url

from tests.end_to_end.pipeline import Pipeline
from tests.stack import Servers

NewPipeline = Callable[..., Pipeline]


@contextmanager
def pipelines_on(
    servers: Servers, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NewPipeline]:
    """Yield a function that makes a pipeline; it takes settings that shall differ."""
    with ExitStack() as opened:

        def make(**chosen: object) -> Pipeline:
            name = f"test-{uuid.uuid4().hex}"
            settings = {
                "kafka_bootstrap": servers.kafka_bootstrap,
                "database_url": opened.enter_context(_clone_of(template_database, name, servers)),
                "topic": name,
                "labels_topic": f"{name}.labels",
                "dead_letter_topic": f"{name}.dead",
                "group": name,
            }
            pipeline = Pipeline(tmp_path_factory.mktemp("pipeline"), settings | chosen)
            return opened.enter_context(closing(pipeline))

        yield make


@contextmanager
def _clone_of(template: str, name: str, servers: Servers) -> Iterator[str]:
    clone = Identifier(name)
    with psycopg.connect(servers.database_url, autocommit=True) as connection:
        connection.execute(
            SQL("CREATE DATABASE {} TEMPLATE {}").format(clone, Identifier(template))
        )
    yield make_url(servers.database_url).set(database=name).render_as_string(hide_password=False)
    with psycopg.connect(servers.database_url, autocommit=True) as connection:
        connection.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(clone))
