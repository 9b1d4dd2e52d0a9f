"""The peer on Flink: PyFlink with Flink in it, and Flink's connectors, which are jars.

The JVM is that of the local Kafka. After a change of `ENDPOINT`, write the lock of the jars anew:

    python -m bench.peers.flink > bench/peers/requirements/pyflink-jars.lock
"""

from dataclasses import replace
from pathlib import Path

from bench.peers.installation import HERE, Installation, python_environment, python_of
from bench.peers.jars import download_jars
from flagpost.local.kafka_jars import print_lock
from flagpost.local.kafka_server import find_java

ENDPOINT = (
    "org.apache.flink:flink-sql-connector-kafka:5.0.0-2.2"
    "+org.apache.flink:flink-connector-jdbc-core:4.0.0-2.0"
    "+org.apache.flink:flink-connector-jdbc-postgres:4.0.0-2.0"
    "+org.postgresql:postgresql:42.7.8"
)
LOCK = HERE / "requirements" / "pyflink-jars.lock"

_PACKAGES = python_environment("pyflink")
_JARS = _PACKAGES.home / "jars"


def flink_program() -> Installation:
    """Return the virtual environment with the connectors in it."""
    return replace(_PACKAGES, fill=_fill, sources=[LOCK])


def flink_command() -> list[str]:
    """Return how it is started."""
    java_home = Path(find_java()).parents[1]
    program = [str(python_of(_PACKAGES.home)), "-m", "bench.peers.apps.pyflink"]
    return [*program, str(java_home), str(_JARS)]


def _fill() -> None:
    _PACKAGES.fill()
    download_jars(LOCK, _JARS)


if __name__ == "__main__":
    print_lock(ENDPOINT)
