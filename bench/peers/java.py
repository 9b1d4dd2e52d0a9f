"""The peer in Java: its jars and its classes, from a JVM and a compiler that come by themselves.

The JVM is that of the local Kafka, the compiler is Eclipse's and one of the jars. After a change of
`ENDPOINT`, write the lock anew:

    python -m bench.peers.java > bench/peers/kafka_streams/jars.lock
"""

from pathlib import Path

from bench.peers.installation import HERE, PEERS_HOME, Installation, run
from bench.peers.jars import download_jars
from flagpost.local.kafka_jars import print_lock
from flagpost.local.kafka_server import find_java

ENDPOINT = (
    "org.apache.kafka:kafka-streams:4.3.1+org.postgresql:postgresql:42.7.8"
    "+org.slf4j:slf4j-nop:1.7.36+org.eclipse.jdt:ecj:3.45.0"
)
SOURCES = HERE / "kafka_streams"
LOCK = SOURCES / "jars.lock"
HOME = PEERS_HOME / "kafka-streams"

_COMPILER = "org.eclipse.jdt.internal.compiler.batch.Main"
_LANGUAGE = "-17"
_JAVA_OPTIONS = ("-XX:+UseParallelGC", "-Xms1g", "-Xmx1g", "--enable-native-access=ALL-UNNAMED")


def java_program() -> Installation:
    """Return the jars and the compiled classes of the Kafka Streams application."""
    return Installation(HOME, LOCK, _fill, sorted(SOURCES.rglob("*.java")))


def java_command(main: str, *arguments: str) -> list[str]:
    """Return how a class of it is started."""
    class_path = f"{HOME / 'classes'}:{HOME / 'jars'}/*"
    return [find_java(), *_JAVA_OPTIONS, "-cp", class_path, main, *arguments]


def _fill() -> None:
    _compile(download_jars(LOCK, HOME / "jars"))


def _compile(jars: list[Path]) -> None:
    compiler = [find_java(), "-cp", f"{HOME / 'jars'}/*", _COMPILER, _LANGUAGE, "-proc:none"]
    class_path = ":".join(map(str, jars))
    run([*compiler, "-d", str(HOME / "classes"), "-classpath", class_path, str(SOURCES)])


if __name__ == "__main__":
    print_lock(ENDPOINT)
