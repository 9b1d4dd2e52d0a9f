"""Fixtures for tests that need the real Kafka or the real PostgreSQL."""

import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator

import psycopg
import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from psycopg.sql import SQL, Identifier
from sqlalchemy.engine import make_url

from tests.stack import Servers, servers_for_tests

COMPILE = """
from flagpost.saved_model import load_saved_model
from flagpost.settings import PRETRAINED_MODEL
from flagpost.warm_up import load_kernels

load_kernels(load_saved_model(PRETRAINED_MODEL).scoring_rules())
"""

WAIT_MOST = ("tests/torture", "tests/faults", "tests/security", "tests/end_to_end")
"""These begin first, in this order: while they wait for servers and sessions, others compute."""


def pytest_sessionstart(session: pytest.Session) -> None:
    """Compile the kernels once, before many processes want to at the same time."""
    if not hasattr(session.config, "workerinput"):
        subprocess.run([sys.executable, "-c", COMPILE], check=True)  # noqa: S603 - our own program


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    places = (n for n, folder in enumerate(WAIT_MOST) if item.nodeid.startswith(folder))
    return next(places, len(WAIT_MOST))


@pytest.fixture(scope="session")
def stack() -> Iterator[Servers]:
    """Both servers, started when the first test asks for them, once per run."""
    with servers_for_tests() as servers:
        yield servers


@pytest.fixture(scope="session")
def kafka_admin(stack: Servers) -> AdminClient:
    return AdminClient({"bootstrap.servers": stack.kafka_bootstrap, "log_level": 0})


@pytest.fixture
def kafka_bootstrap(stack: Servers) -> str:
    return stack.kafka_bootstrap


@pytest.fixture
def fresh_topic(kafka_admin: AdminClient) -> Callable[..., str]:
    """A function that creates a topic nobody else uses and returns its name."""

    def create(partitions: int = 1) -> str:
        name = f"test-{uuid.uuid4().hex}"
        created = kafka_admin.create_topics([NewTopic(name, partitions, 1)])
        created[name].result(timeout=10)
        return name

    return create


@pytest.fixture(scope="session")
def template_database(stack: Servers) -> Iterator[str]:
    """The name of a database with all migrations run, to be cloned."""
    from flagpost.postgres.upgrade import upgrade  # noqa: PLC0415 - unit tests need no tables

    name = f"template_{uuid.uuid4().hex}"
    _execute(stack, SQL("CREATE DATABASE {}").format(Identifier(name)))
    upgrade(_url_of(stack, name))
    yield name
    _drop(stack, name)


@pytest.fixture
def database_url(stack: Servers, template_database: str) -> Iterator[str]:
    """The URL of a migrated, empty database of this test's own."""
    name = f"test_{uuid.uuid4().hex}"
    names = Identifier(name), Identifier(template_database)
    _execute(stack, SQL("CREATE DATABASE {} TEMPLATE {}").format(*names))
    yield _url_of(stack, name)
    _drop(stack, name)


def _url_of(stack: Servers, database: str) -> str:
    return make_url(stack.database_url).set(database=database).render_as_string(hide_password=False)


def _drop(stack: Servers, database: str) -> None:
    _execute(stack, SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(database)))


def _execute(stack: Servers, statement: psycopg.sql.Composed) -> None:
    with psycopg.connect(stack.database_url, autocommit=True) as connection:
        connection.execute(statement)
