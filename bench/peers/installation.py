"""Each peer's own folder under .flagpost/bench/peers, filled with what its lock names."""

import hashlib
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.servers import BENCH_HOME

PEERS_HOME = BENCH_HOME / "peers"
HERE = Path(__file__).parent


class InstallationFailed(Exception):
    """A peer cannot be installed here; the message is the end of what the installer said."""


@dataclass(frozen=True)
class Installation:
    """A folder that is filled once for the same sources.

    Attributes:
        home: the folder, its own.
        lock: names each package or jar with its version and its hash.
        sources: what else it is made from.
        fill: blocks while it fills the empty folder; raises `InstallationFailed`.
    """

    home: Path
    lock: Path
    fill: Callable[[], None]
    sources: Sequence[Path] = ()

    @property
    def is_there(self) -> bool:
        """Whether the folder has been filled from these very sources."""
        return self._mark.exists() and self._mark.read_text() == self._digest()

    def make(self) -> None:
        """Fill the folder unless that is done. Blocks for up to minutes.

        Raises:
            InstallationFailed: it could not be filled.
        """
        if self.is_there:
            return
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir(parents=True)
        self.fill()
        self._mark.write_text(self._digest())

    def version_of(self, package: str) -> str:
        """Look a version up in the lock, be it `package==1.2` or `group package 1.2`."""
        found = re.search(rf"^(?:\S+ )?{package}(?:==| )(\S+)", self.lock.read_text(), re.MULTILINE)
        assert found, f"{package} is not in {self.lock}"
        return found[1]

    @property
    def _mark(self) -> Path:
        return self.home / "made-from.sha256"

    def _digest(self) -> str:
        made_from = (self.lock, *self.sources)
        return hashlib.sha256(b"".join(source.read_bytes() for source in made_from)).hexdigest()


def python_environment(name: str) -> Installation:
    """Return the virtual environment of a peer in Python."""
    home, requirements = PEERS_HOME / name, HERE / "requirements" / f"{name}.txt"
    pip = [str(python_of(home)), "-m", "pip", "--disable-pip-version-check", "--quiet"]

    def fill() -> None:
        run([sys.executable, "-m", "venv", str(home)])
        run([*pip, "install", "--require-hashes", "--requirement", str(requirements)])

    return Installation(home, requirements, fill)


def python_of(home: Path) -> Path:
    """Return the Python of a virtual environment."""
    return home / "bin" / "python"


def run(command: list[str]) -> None:
    """Run a step of an installation. Blocks.

    Raises:
        InstallationFailed: it failed.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    if done.returncode:
        raise InstallationFailed((done.stderr or done.stdout).strip()[-2000:])
