"""Servers that die, freeze or fill up: the table is that of a run without a fault.

They have a stack of their own here, for all others would miss theirs.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
from psycopg.sql import SQL, Composed, Identifier, Literal
from sqlalchemy.engine import make_url

from flagpost.errors import MustStop
from flagpost.local.stack import start_stack, stop_stack
from flagpost.postgres.upgrade import upgrade
from flagpost.torture.servers import Servers as Killer
from tests.end_to_end.new_pipelines import NewPipeline, pipelines_on
from tests.end_to_end.pipeline import Pipeline, finish
from tests.faults.faultless import Faultless
from tests.stack import Servers

AWAY_SECONDS = 3
TEMPLATE = "template"
DISK_BYTES = 64 << 20
CLIENTS = "kafka-python", "confluent"

Outage = Callable[[Killer], AbstractContextManager[None]]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the servers run that may be killed."""
    home = tmp_path_factory.mktemp("own-stack")
    start_stack(home)
    yield home
    stop_stack(home)


@pytest.fixture(scope="module")
def servers(home: Path) -> Servers:
    stack = start_stack(home)
    return Servers(stack.kafka_bootstrap, stack.database_url)


@pytest.fixture(scope="module")
def killer(home: Path) -> Killer:
    return Killer(home)


@pytest.fixture(scope="module")
def new_pipeline(
    servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NewPipeline]:
    execute(servers, SQL("CREATE DATABASE {}").format(Identifier(TEMPLATE)))
    template_url = make_url(servers.database_url).set(database=TEMPLATE)
    upgrade(template_url.render_as_string(hide_password=False))
    with pipelines_on(servers, TEMPLATE, tmp_path_factory) as make:
        yield make


@pytest.mark.parametrize(
    ("outage", "said"),
    [
        (Killer.broker_killed, ["kafka away", "kafka back"]),
        (Killer.broker_paused, []),
        (Killer.database_killed, ["waiting for a server", "going on"]),
    ],
    ids=["broker killed", "broker stands still", "database killed"],
)
def test_a_server_is_away_and_comes_back_with_its_data(
    outage: Outage, said: list[str], new_pipeline: NewPipeline, killer: Killer, faultless: Faultless
) -> None:
    """Half of the log is scored before it and the rest after it, with both clients."""
    pipelines = [new_pipeline(kafka_client=client, batch_messages=50) for client in CLIENTS]
    half = faultless.n_lines // 2
    produce_all(pipelines, faultless, "--limit", half)
    members = [pipeline.start_member() for pipeline in pipelines]
    for pipeline in pipelines:
        pipeline.wait_until_read(1)

    with outage(killer):
        time.sleep(AWAY_SECONDS)

    produce_all(pipelines, faultless, "--from-line", half + 1)
    for pipeline, member in zip(pipelines, members, strict=True):
        faultless.wait_until_done(pipeline)
        assert member.terminate() == 0
        faultless.check(pipeline)
        assert all(map(member.says, said))


def test_the_disk_of_the_database_is_full_for_a_while(
    new_pipeline: NewPipeline, servers: Servers, home: Path, faultless: Faultless
) -> None:
    pipeline = new_pipeline(batch_messages=50)
    half = faultless.n_lines // 2
    pipeline.produce(faultless.log, "--limit", half)
    with small_disk(home / "small") as disk:
        move_to(disk, pipeline, home, servers)
        member = pipeline.start_member()
        pipeline.wait_until_read(1)
        ballast = fill(disk)
        pipeline.produce(faultless.log, "--from-line", half + 1)
        pipeline.wait_until(lambda: member.says("No space left on device"))
        assert pipeline.counts().n_in < faultless.n_in
        ballast.unlink()
        faultless.wait_until_done(pipeline)

        assert member.terminate() == 0
        assert member.says("going on")
        faultless.check(pipeline)
        move_away(pipeline, servers)


@pytest.mark.parametrize("client", CLIENTS)
def test_a_damaged_record_ends_a_member_which_skips_nothing(
    client: str, new_pipeline: NewPipeline, home: Path, faultless: Faultless
) -> None:
    pipeline = new_pipeline(kafka_client=client, topic_partitions=1)
    half = faultless.n_lines // 2
    pipeline.produce(faultless.log, "--limit", half)
    pipeline.score_all()
    pipeline.produce(faultless.log, "--from-line", half + 1)
    [log] = (home / "kafka" / f"{pipeline.settings['topic']}-0").glob("*.log")
    flip_last_byte(log)

    member = pipeline.start_member()

    assert member.wait() == MustStop.exit_code == 20, member.errors.read_text()
    last_line = member.errors.read_text().splitlines()[-1]
    assert last_line.startswith("error: a record is damaged")
    assert pipeline.counts().n_in < faultless.n_in
    pipeline.scripts.remove(member)  # it has failed, as it should
    flip_last_byte(log)
    pipeline.score_all()
    faultless.check(pipeline)


def flip_last_byte(path: Path) -> None:
    """Change a byte, or change it back."""
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        [last] = file.read()
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last ^ 0xFF]))


def produce_all(pipelines: Iterable[Pipeline], faultless: Faultless, *arguments: object) -> None:
    """Send a part of the log to each pipeline, at the same time."""
    for script in [each.start("producer.py", faultless.log, *arguments) for each in pipelines]:
        finish(script)


@contextmanager
def small_disk(directory: Path) -> Iterator[Path]:
    """Mount a file system in memory; only root may, and not in every container."""
    directory.mkdir()
    mounted = run("mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=755", "tmpfs", directory)
    if mounted.returncode != 0:
        pytest.skip(f"a disk cannot be full here, for none can be mounted: {mounted.stderr}")
    try:
        yield directory
    finally:
        run("umount", "--lazy", directory)


def fill(disk: Path) -> Path:
    """Leave no room on a disk; return the file that takes it all."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):  # it is full
        while True:
            file.write(bytes(1 << 16))
    assert shutil.disk_usage(disk).free == 0
    return ballast


def move_to(disk: Path, pipeline: Pipeline, home: Path, servers: Servers) -> None:
    """Put the database of a pipeline onto a disk."""
    place = disk / "tables"
    place.mkdir(mode=0o700)
    owner = (home / "postgres").stat()
    os.chown(place, owner.st_uid, owner.st_gid)
    execute(servers, SQL("CREATE TABLESPACE small LOCATION {}").format(Literal(str(place))))
    move(pipeline, "small", servers)


def move_away(pipeline: Pipeline, servers: Servers) -> None:
    """Take it from there, so that the disk can go."""
    move(pipeline, "pg_default", servers)
    execute(servers, SQL("DROP TABLESPACE small"))


def move(pipeline: Pipeline, tablespace: str, servers: Servers) -> None:
    database = make_url(str(pipeline.settings["database_url"])).database or ""
    names = Identifier(database), Identifier(tablespace)
    execute(servers, SQL("ALTER DATABASE {} SET TABLESPACE {}").format(*names))


def run(*command: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(  # noqa: S603 - programs of this test
        list(map(str, command)), check=False, capture_output=True, text=True
    )


def execute(servers: Servers, statement: SQL | Composed) -> None:
    with psycopg.connect(servers.database_url, autocommit=True) as connection:
        connection.execute(statement)
