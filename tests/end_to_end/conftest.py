"""Pipelines of real processes, and what they have to find."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL, Identifier
from sqlalchemy.engine import make_url

from tests.end_to_end.pipeline import LOG, Pipeline, Scores, evaluate
from tests.stack import Servers


@pytest.fixture(scope="session")
def new_pipeline(
    stack: Servers, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Pipeline]]:
    """A function that makes a pipeline with a topic and a migrated database of its own."""
    databases: list[Identifier] = []

    def make(**chosen: Any) -> Pipeline:  # noqa: ANN401 - as `Pipeline` takes them
        name = f"test_{uuid.uuid4().hex}"
        databases.append(Identifier(name))
        names = Identifier(name), Identifier(template_database)
        with psycopg.connect(stack.database_url, autocommit=True) as connection:
            connection.execute(SQL("CREATE DATABASE {} TEMPLATE {}").format(*names))
        url = make_url(stack.database_url).set(database=name)
        return Pipeline(
            tmp_path_factory.mktemp("pipeline"),
            stack.kafka_bootstrap,
            url.render_as_string(hide_password=False),
            **chosen,
        )

    yield make
    with psycopg.connect(stack.database_url, autocommit=True) as connection:
        for database in databases:
            connection.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(database))


@pytest.fixture(scope="session")
def offline(tmp_path_factory: pytest.TempPathFactory) -> Scores:
    """What `fraud_model.py evaluate logFraud.json` flags, and with what probability."""
    return evaluate(LOG, tmp_path_factory.mktemp("offline"))
