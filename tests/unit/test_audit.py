"""The audit of the lock: what it says, and when it fails."""

import json
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

AUDIT = Path(__file__).parents[2] / ".ci" / "audit.py"
LOCKED = f"jinja2==2.4.1 --hash=sha256:{'0' * 64}\nmsgspec==0.20.0 --hash=sha256:{'0' * 64}\n"
ADVISORY = {
    "id": "GHSA-of-the-tests",
    "summary": "templates escape from their sandbox",
    "affected": [
        {
            "package": {"name": "jinja2", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.8.1"}]}],
        }
    ],
}


class Advisories(BaseHTTPRequestHandler):
    """An advisory service with one entry."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        is_bad = asked["package"]["name"] == "jinja2" and asked["version"] == "2.4.1"
        answer = json.dumps({"vulns": [ADVISORY]} if is_bad else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Keep quiet."""


@pytest.fixture
def service() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Advisories) as server:
        Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "lock.txt"
    path.write_text(LOCKED)
    return path


def audit(lock: Path, service: str) -> "subprocess.CompletedProcess[str]":
    options: list[str | Path] = [
        "-r",
        lock,
        "-s",
        "osv",
        "--osv-url",
        service,
        "--cache-dir",
        lock.parent,
    ]
    return subprocess.run(  # noqa: S603 - our own script
        [sys.executable, AUDIT, *options], capture_output=True, text=True, check=False
    )


def test_a_known_vulnerability_fails_and_names_the_version_that_mends_it(
    lock: Path, service: str
) -> None:
    done = audit(lock, service)

    assert done.returncode == 1
    assert "jinja2 2.4.1: GHSA-of-the-tests, fixed in 2.8.1: templates escape" in done.stderr
    assert "2 of 2 locked packages audited, 1 vulnerabilities" in done.stderr


def test_what_nothing_is_known_of_passes(lock: Path, service: str) -> None:
    lock.write_text(LOCKED.splitlines()[1])

    done = audit(lock, service)

    assert (done.returncode, done.stderr) == (
        0,
        "1 of 1 locked packages audited, 0 vulnerabilities\n",
    )


def test_without_a_service_it_passes_and_says_that_nothing_was_audited(lock: Path) -> None:
    done = audit(lock, "http://127.0.0.1:1")

    assert done.returncode == 0
    assert done.stderr.startswith("NOTHING WAS AUDITED: no advisory service answers")


def test_a_lock_that_cannot_be_read_fails(lock: Path, service: str) -> None:
    lock.write_text("jinja2>=2\n")

    done = audit(lock, service)

    assert done.returncode == 1
    assert "the audit failed" in done.stderr
