"""The local stack: from nothing to both servers, and back to no process at all."""

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import psycopg
import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from flagpost.errors import StackFailed
from flagpost.local import processes
from flagpost.local.account import Account
from flagpost.local.ports import LOOPBACK
from flagpost.local.stack import servers_of, start_stack, stop_stack


@contextmanager
def new_home() -> Iterator[Path]:
    """Make a home outside of `tmp_path`: every pytest that starts closes that to other users."""
    with TemporaryDirectory(prefix="flagpost-") as folder:
        home = Path(folder, ".flagpost")
        try:
            yield home
        finally:
            stop_stack(home)


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """One home for the tests that start and stop a sound stack, in any order."""
    with new_home() as home:
        yield home


@pytest.fixture
def damaged_home() -> Iterator[Path]:
    with new_home() as home:
        yield home


def running(home: Path) -> list[psutil.Process]:
    return [process for server in servers_of(home) if (process := server.process())]


def test_the_first_start_makes_everything_and_tells_the_addresses(home: Path) -> None:
    stack = start_stack(home)

    env = home / "env"
    assert env.read_text().splitlines() == [
        f"FLAGPOST_KAFKA_BOOTSTRAP={stack.kafka_bootstrap}",
        f"FLAGPOST_DATABASE_URL={stack.database_url}",
    ]
    assert stat.S_IMODE(env.stat().st_mode) == 0o600
    assert stack.database_url not in repr(stack)
    assert AdminClient({"bootstrap.servers": stack.kafka_bootstrap}).list_topics(timeout=5).brokers


def test_the_servers_listen_on_the_loopback_interface_alone(home: Path) -> None:
    start_stack(home)

    listening = {
        connection.laddr.ip.removeprefix("::ffff:")
        for process in running(home)
        for connection in process.net_connections(kind="tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {LOOPBACK}


def test_the_servers_outlive_the_session_that_started_them(home: Path) -> None:
    start_stack(home)

    assert all(os.getsid(process.pid) != os.getsid(0) for process in running(home))


def test_a_second_start_finds_the_first(home: Path) -> None:
    first, pids = start_stack(home), {process.pid for process in running(home)}
    told: list[str] = []

    assert start_stack(home, told.append) == first
    assert {process.pid for process in running(home)} == pids
    assert len(told) == 2
    assert all("runs already" in line for line in told)


def test_two_starts_at_once_start_one_stack(home: Path) -> None:
    stop_stack(home)
    told: list[str] = []

    with ThreadPoolExecutor(2) as pool:
        stacks = list(pool.map(lambda _: start_stack(home, told.append), range(2)))

    assert stacks[0] == stacks[1]
    assert len([line for line in told if line.startswith("Starting")]) == 2


def test_data_and_addresses_outlive_a_stop_that_leaves_no_process(home: Path) -> None:
    stack = start_stack(home)
    admin = AdminClient({"bootstrap.servers": stack.kafka_bootstrap, "log_level": 0})
    admin.create_topics([NewTopic("kept", 1, 1)])["kept"].result(timeout=10)
    with psycopg.connect(stack.database_url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
    family = [each for parent in running(home) for each in (parent, *parent.children())]

    stop_stack(home)
    stop_stack(home)

    assert not any(processes.is_running(process) for process in family)
    assert start_stack(home) == stack
    assert "kept" in admin.list_topics(timeout=10).topics
    with psycopg.connect(stack.database_url) as connection:
        assert connection.execute("SELECT number FROM kept").fetchone() == (7,)


def test_a_server_moves_away_from_a_port_that_another_program_took(home: Path) -> None:
    before = start_stack(home)
    stop_stack(home)
    told: list[str] = []
    host, port = before.kafka_bootstrap.split(":")

    with socket.create_server((host, int(port))):
        after = start_stack(home, told.append)

    assert after.kafka_bootstrap != before.kafka_bootstrap
    assert after.database_url == before.database_url
    assert any(f"Port {port} is taken" in line for line in told)
    assert after.kafka_bootstrap in (home / "env").read_text()
    assert AdminClient({"bootstrap.servers": after.kafka_bootstrap}).list_topics(timeout=5).brokers


@pytest.mark.parametrize(
    ("broken", "server", "logged"),
    [
        ("postgres/PG_VERSION", "PostgreSQL", "could not access the server configuration file"),
        ("kafka/meta.properties", "Apache Kafka", "Exception"),
    ],
)
def test_a_server_that_cannot_start_shows_the_end_of_its_log_and_leaves_no_process(
    damaged_home: Path, broken: str, server: str, logged: str
) -> None:
    damage(damaged_home / broken)

    with pytest.raises(StackFailed, match=server) as failure:
        start_stack(damaged_home)

    assert logged in "".join(failure.value.__notes__)
    assert running(damaged_home) == []


def test_the_command_ends_with_its_code_when_a_server_does_not_come_up(damaged_home: Path) -> None:
    damage(damaged_home / "postgres" / "PG_VERSION")

    ended = subprocess.run(
        [sys.executable, "-m", "flagpost", "up"],
        cwd=damaged_home.parent, check=False, capture_output=True, text=True,
    )  # fmt: skip

    assert ended.returncode == StackFailed.exit_code == 21
    first, *log = ended.stderr.splitlines()
    assert first.startswith("error: PostgreSQL ")
    assert any("could not access the server configuration file" in line for line in log)
    assert running(damaged_home) == []


def damage(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True)
    path.write_text("nonsense")
    Account.choose().own(path.parent)


def test_a_pid_that_was_given_to_another_process_is_not_taken_for_the_server() -> None:
    here = psutil.Process()

    assert processes.find(here.pid, here.create_time()) == here
    assert processes.find(here.pid, here.create_time() - 60) is None
