"""Kafka's jars: which they are, and how they come from Maven Central into a cache of this user.

`kafka_jars.lock` names every jar with its SHA-256. After a change of `ENDPOINT`, write it anew:

    python -m flagpost.local.kafka_jars > flagpost/local/kafka_jars.lock
"""

import hashlib
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import jgo
from filelock import FileLock
from jgo.constants import default_jgo_cache
from jgo.maven import MavenContext
from rich.console import Console
from rich.progress import track
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_exponential

from flagpost.errors import StackFailed
from flagpost.local.kafka_properties import VERSION

# slf4j-simple writes the broker's log to its standard output.
ENDPOINT = f"org.apache.kafka:kafka_2.13:{VERSION}+org.slf4j:slf4j-simple:1.7.36"
LOCK = Path(__file__).with_suffix(".lock")
DOWNLOADS_AT_ONCE = 8


class Jar(NamedTuple):
    """A jar by its Maven coordinates, and the hash of its bytes."""

    group: str
    artifact: str
    version: str
    sha256: str


def read_lock(lock: Path) -> list[Jar]:
    """Read which jars were locked."""
    return [Jar(*line.split()) for line in lock.read_text().splitlines()]


def fetch_class_path() -> str:
    """Return Kafka's class path; blocks while 45 MB are downloaded, once per user.

    Raises:
        StackFailed: a jar cannot be downloaded or is not the one that was locked.
    """
    cache = default_jgo_cache() / "flagpost"
    folder = cache / f"kafka-{VERSION}"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / "lock"):
            if not folder.exists():
                _fill(folder)
    except (OSError, RuntimeError) as error:
        msg = f"Apache Kafka {VERSION} could not be downloaded into {folder}: {error}"
        raise StackFailed(msg) from error
    return f"{folder}/*"


def _fill(folder: Path) -> None:
    """Download every jar; the folder appears when all are there, never in part."""
    draft = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    jars = read_lock(LOCK)
    console = Console(stderr=True)
    with ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as pool:
        for _ in track(
            pool.map(lambda jar: download(jar, draft), jars),
            f"Downloading Apache Kafka {VERSION}",
            total=len(jars),
            console=console,
            disable=not console.is_terminal,
        ):
            pass
    draft.rename(folder)


@retry(
    retry=retry_if_exception_type(OSError),
    stop=stop_after_attempt(4),
    wait=wait_exponential(),
    reraise=True,
)
def download(jar: Jar, folder: Path) -> Path:
    """Download one jar into a folder; it appears there when it is the one that was locked.

    Raises:
        StackFailed: it is another file.
    """
    with TemporaryDirectory(dir=folder) as repository:
        project = MavenContext(repo_cache=Path(repository)).project(jar.group, jar.artifact)
        path: Path = project.at_version(jar.version).artifact().resolve()
        if _sha256(path) != jar.sha256:
            msg = f"{path.name} from Maven Central is not the file that was locked"
            raise StackFailed(msg)
        return path.rename(folder / path.name)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def resolve_jars(endpoint: str) -> Iterator[Jar]:
    """Ask Maven Central which jars these need, download each and hash it."""
    for artifact in jgo.resolve(endpoint):
        digest = _sha256(artifact.resolve())
        yield Jar(artifact.groupId, artifact.artifactId, artifact.version, digest)


def print_lock(endpoint: str) -> None:
    """Print what `read_lock` reads. Blocks."""
    sys.stdout.writelines(" ".join(jar) + "\n" for jar in sorted(resolve_jars(endpoint)))


if __name__ == "__main__":
    print_lock(ENDPOINT)
