"""Each peer's own environment under .flagpost/bench/peers, made on first use."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich import print as show

from bench.servers import BENCH_HOME

PEERS_HOME = BENCH_HOME / "peers"
HERE = Path(__file__).parent


class LeftOut(Exception):
    """A peer cannot run on this machine: the message says what it needs."""


def python_of(name: str) -> Path:
    """Return the Python of a peer's virtual environment. Blocks while it is made, once.

    Raises:
        LeftOut: its packages cannot be installed.
    """
    home, requirements = PEERS_HOME / name, HERE / "requirements" / f"{name}.txt"
    python = home / "bin" / "python"
    with_pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet"]

    def build() -> None:
        _run([sys.executable, "-m", "venv", str(home)])
        _run([*with_pip, "install", "--require-hashes", "--requirement", str(requirements)])

    build_once(home, [requirements], build, f"Installing {requirements.name} for {name} ...")
    return python


def jars_of(name: str) -> Path:
    """Return the folder with the classes and jars of a Maven project. Blocks, once.

    Raises:
        LeftOut: Java or Maven is missing, or the build fails.
    """
    missing = [command for command in ("java", "javac", "mvn") if shutil.which(command) is None]
    if missing:
        raise LeftOut(f"needs Java 17 and Maven 3.8 or later: no {', '.join(missing)} here")
    home, project = PEERS_HOME / f"{name}-jars", HERE / name.replace("-", "_") / "pom.xml"
    sources = [project, *sorted(project.parent.rglob("*.java"))]
    maven = ["mvn", "--batch-mode", "--quiet", "--strict-checksums", f"--file={project}"]

    def build() -> None:
        _run([*maven, "process-classes", f"-Dhome={home}"])

    build_once(home, sources, build, f"Building {name} with Maven ...")
    return home


def build_once(home: Path, sources: Sequence[Path], build: Callable[[], None], line: str) -> None:
    """Build into an empty folder, unless that has been done with these very sources."""
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()
    mark = home / "built-from.sha256"
    if mark.exists() and mark.read_text() == digest:
        return
    show(line)
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    build()
    mark.write_text(digest)


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    if done.returncode:
        show((done.stderr or done.stdout).strip()[-2000:])
        raise LeftOut("could not be installed")
