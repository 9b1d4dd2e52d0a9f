"""Kafka and PostgreSQL of a local stack, killed and brought back."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from flagpost.errors import StackFailed
from flagpost.local import processes
from flagpost.local.kafka_server import KafkaServer
from flagpost.local.postgres_server import PostgresServer
from flagpost.local.record import Record, read_record
from flagpost.local.stack import Server


class Servers:
    """The two servers of a home directory, both of them running."""

    def __init__(self, home: Path) -> None:
        self._kafka = KafkaServer(home.resolve())
        self._postgres = PostgresServer(home.resolve())
        self._home = home

    @property
    def _record(self) -> Record:
        record = read_record(self._home)
        if record is None:
            raise StackFailed(f"no stack was ever started in {self._home}")
        return record

    @contextmanager
    def broker_killed(self) -> Iterator[None]:
        """Kill the broker; afterwards start it again on the same data. Blocks until it answers."""
        _kill(self._kafka)
        try:
            yield
        finally:
            self._kafka.start(self._record)
            self._kafka.wait_until_ready(self._record)

    @contextmanager
    def broker_paused(self) -> Iterator[None]:
        """Let the broker stand still meanwhile."""
        process = _running(self._kafka)
        process.suspend()
        try:
            yield
        finally:
            process.resume()

    @contextmanager
    def database_killed(self) -> Iterator[None]:
        """Kill PostgreSQL; afterwards start it again on the same data. Blocks until it answers."""
        _kill(self._postgres)
        try:
            yield
        finally:
            self._postgres.start(self._record)


def _kill(server: Server) -> None:
    processes.stop(_running(server), signal.SIGKILL)


def _running(server: Server) -> psutil.Process:
    process = server.process()
    if process is None:
        raise StackFailed(f"{server.name} does not run")
    return process
