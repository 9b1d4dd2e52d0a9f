"""Real servers for the tests: in containers where Docker runs, else those of `flagpost up`.

`FLAGPOST_TEST_STACK=docker|local` decides; by default it is what this machine has. With
`FLAGPOST_TEST_HOME=DIR` the tests use the local stack of that directory and leave it running, which
saves its start while you work. Servers that do not come up fail the tests; nothing is skipped.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg.sql import SQL, Identifier
from sqlalchemy.engine import make_url
from testcontainers.community.postgres import PostgresContainer
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import LogMessageWaitStrategy

from flagpost.local import kafka_properties, processes
from flagpost.local.ports import choose_free_port
from flagpost.local.stack import start_stack, stop_stack

KAFKA_IMAGE = f"apache/kafka:{kafka_properties.VERSION}"
POSTGRES_IMAGE = "postgres:18.6"


@dataclass(frozen=True)
class Servers:
    """Where the tests reach Kafka, and PostgreSQL as a superuser."""

    kafka_bootstrap: str
    database_url: str = field(repr=False)


def servers_for_tests() -> AbstractContextManager[Servers]:
    """Choose the servers; entering the context starts them, leaving it stops them."""
    kept = os.environ.get("FLAGPOST_TEST_HOME")
    if kept:
        return kept_local_servers(Path(kept))
    starts = {"docker": container_servers, "local": local_servers}
    default = "docker" if _docker_engine_answers() else "local"
    return starts[os.environ.get("FLAGPOST_TEST_STACK", default)]()


@contextmanager
def kept_local_servers(home: Path) -> Iterator[Servers]:
    """Use the stack of `home`, started when it does not run, and leave it running."""
    stack = start_stack(home)
    yield Servers(stack.kafka_bootstrap, stack.database_url)


@contextmanager
def local_servers() -> Iterator[Servers]:
    """Run a new stack in a temporary directory."""
    with tempfile.TemporaryDirectory(prefix="flagpost-") as folder:
        try:
            with kept_local_servers(Path(folder)) as servers:
                yield servers
        finally:
            stop_stack(Path(folder))


@contextmanager
def container_servers() -> Iterator[Servers]:
    """Run both servers from their official images."""
    port = choose_free_port()
    kafka = DockerContainer(KAFKA_IMAGE).with_bind_ports(9092, port)
    bootstrap = f"{kafka.get_container_host_ip()}:{port}"
    kafka = kafka.with_envs(**_kafka_environment(bootstrap)).waiting_for(
        LogMessageWaitStrategy("Kafka Server started")
    )
    postgres = PostgresContainer(POSTGRES_IMAGE, driver=None)
    with kafka, postgres.with_command("postgres -c track_commit_timestamp=on"):
        yield Servers(bootstrap, postgres.get_connection_url())


@contextmanager
def clone_of(template: str, name: str, servers: Servers) -> Iterator[str]:
    """Give the URL of a copy of a database, for as long as it is needed."""
    clone = Identifier(name)
    with psycopg.connect(servers.database_url, autocommit=True) as connection:
        connection.execute(
            SQL("CREATE DATABASE {} TEMPLATE {}").format(clone, Identifier(template))
        )
    yield make_url(servers.database_url).set(database=name).render_as_string(hide_password=False)
    with psycopg.connect(servers.database_url, autocommit=True) as connection:
        connection.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(clone))


def _kafka_environment(bootstrap: str) -> dict[str, str]:
    """Give the container the settings of the local broker, as the image's variables."""
    settings = kafka_properties.FIXED | {
        "listeners": "PLAINTEXT://:9092,CONTROLLER://:9093",
        "advertised.listeners": f"PLAINTEXT://{bootstrap}",
        "controller.quorum.voters": "1@localhost:9093",
    }
    return {f"KAFKA_{name.replace('.', '_').upper()}": str(v) for name, v in settings.items()}


def _docker_engine_answers() -> bool:
    docker = shutil.which("docker")
    return docker is not None and processes.run([docker, "version"], Path(os.devnull))
