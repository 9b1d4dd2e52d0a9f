"""A real PostgreSQL that lets nobody in without TLS.

The server of the local stack is built without OpenSSL. This one comes from Maven Central, as
Kafka's jars do, and stays in the same cache.
"""

import platform
import shlex
import shutil
import signal
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from zipfile import ZipFile

import psutil
import psycopg
from filelock import FileLock
from jgo.constants import default_jgo_cache

from flagpost.local import processes
from flagpost.local.account import Account
from flagpost.local.failure import tail
from flagpost.local.kafka_jars import Jar, download
from flagpost.local.ports import LOOPBACK, choose_free_port
from tests.security.certificates import Authority, Certificate

VERSION = "18.6.0"
SHA256 = {
    "linux-amd64": "008ee189eaa7ca2b58bd01dd950291e638b998392cf982297acd4779ec898ac1",
    "linux-arm64v8": "5f54e016723afa6213925a8acb939bac52944b1d348f65c7a20f0cd2928c31be",
    "darwin-amd64": "690941008aac9ee360820fde9bb7870a4f3dcac5e9e2f9e45e42333a436ad0f9",
    "darwin-arm64v8": "8f6ed6f38195b50a40712ada8b2a12060b6193c1a6977a6eb5cff053bb5a1b89",
}
USER = "flagpost"


@dataclass(frozen=True)
class SecurePostgres:
    port: int
    authority: Authority
    password: str = field(repr=False)

    def url(self, query: str, driver: str = "postgresql") -> str:
        return f"{driver}://{USER}:{self.password}@{LOOPBACK}:{self.port}/flagpost?{query}"

    @property
    def verified_url(self) -> str:
        return self.url(f"sslmode=verify-full&sslrootcert={self.authority.ca_file}")


@contextmanager
def secure_postgres(
    home: Path, authority: Authority, certificate: Certificate, password: str
) -> Iterator[SecurePostgres]:
    """Start a server with an empty database `flagpost`; leaving the context stops it."""
    server = SecurePostgres(choose_free_port(), authority, password)
    account, programs, log = Account.choose(), _programs(), home / "postgres.log"
    data, password_file = home / "data", home / "password"
    account.may_run(programs)
    log.write_text("")
    data.mkdir(mode=0o700)
    password_file.write_text(password)
    for path in (log, data, password_file):
        account.own(path)

    def run(program: str, *arguments: object) -> None:
        command = [str(programs / "bin" / program), *map(str, arguments)]
        assert processes.run(command, log, account.stand_in), tail(log)

    run(
        "initdb", "-D", data, "-U", USER, f"--pwfile={password_file}", "--auth=scram-sha-256",
        "--encoding=UTF8", "--locale=C",
    )  # fmt: skip
    shutil.copy(certificate.certificate, home / "server.crt")
    shutil.copy(certificate.key, home / "server.key")
    (home / "server.key").chmod(0o600)
    for name in ("server.crt", "server.key"):
        account.own(home / name)
    (data / "pg_hba.conf").write_text("hostssl all all 127.0.0.1/32 scram-sha-256\n")
    settings = {
        "port": server.port, "listen_addresses": LOOPBACK, "unix_socket_directories": "",
        "ssl": "on", "ssl_cert_file": home / "server.crt", "ssl_key_file": home / "server.key",
        "fsync": "off",
    }  # fmt: skip
    options = shlex.join(f"--{name}={value}" for name, value in settings.items())
    run("pg_ctl", "start", "-w", "-D", data, "-l", log, "-o", options)
    process = psutil.Process(int((data / "postmaster.pid").read_text().splitlines()[0]))
    try:
        with psycopg.connect(server.verified_url, dbname="postgres", autocommit=True) as connection:
            connection.execute("CREATE DATABASE flagpost")
        yield server
    finally:
        processes.stop(process, signal.SIGINT)


def _programs() -> Path:
    """Return the unpacked programs; downloads 15 MB, once per user."""
    machine = {"x86_64": "amd64", "aarch64": "arm64v8", "arm64": "arm64v8"}[platform.machine()]
    kind = f"{platform.system().lower()}-{machine}"
    artifact = f"embedded-postgres-binaries-{kind}"
    cache = default_jgo_cache() / "flagpost"
    folder, draft = cache / f"{artifact}-{VERSION}", cache / f"{artifact}.new"
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(cache / "lock"):
        if not folder.exists():
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir()
            jar = Jar("io.zonky.test.postgres", artifact, VERSION, SHA256[kind])
            _unpack(download(jar, draft), draft)
            draft.rename(folder)
    return folder


def _unpack(jar: Path, folder: Path) -> None:
    with ZipFile(jar) as archive:
        [inner] = [name for name in archive.namelist() if name.endswith(".txz")]
        with archive.open(inner) as packed, tarfile.open(fileobj=packed, mode="r|xz") as files:
            files.extractall(folder, filter="data")
    jar.unlink()
