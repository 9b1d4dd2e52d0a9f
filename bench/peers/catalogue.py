"""Who is compared: how each peer is made ready, and what it is a goal to be ahead of."""

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bench.peers.installation import jars_of, python_of
from bench.peers.job import MODEL_FILE
from flagpost.settings import KafkaClient


class Ready(NamedTuple):
    """A peer that can be started."""

    command: list[str]
    version: str


@dataclass(frozen=True, eq=False)
class Peer:
    """Another tool that does the job.

    Attributes:
        name: on the command line, of its requirements and of its program.
        make_ready: blocks while the peer is installed; raises `LeftOut`.
        one_of: it gets one of so many messages, since it is so slow.
        commits_to_kafka: false if its offsets are elsewhere and Kafka knows nothing of them.
        goals: how many times as fast Flagpost has to be with each client.
    """

    name: str
    title: str
    make_ready: Callable[[], Ready]
    goals: dict[KafkaClient, float]
    one_of: int = 1
    commits_to_kafka: bool = True


def _python_peer(name: str, distribution: str) -> Callable[[], Ready]:
    def make_ready() -> Ready:
        python = python_of(name)
        return Ready(
            [str(python), "-m", f"bench.peers.apps.{name}"], _version(python, distribution)
        )

    return make_ready


def _version(python: Path, distribution: str) -> str:
    ask = f"from importlib.metadata import version; print(version({distribution!r}))"
    command = [str(python), "-c", ask]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603


_JAVA_OPTIONS = ("-XX:+UseParallelGC", "-Xms1g", "-Xmx1g")


def _kafka_streams() -> Ready:
    home = jars_of("kafka-streams")
    [jar] = home.glob("jars/kafka-streams-*.jar")
    class_path = f"{home / 'classes'}:{home / 'jars'}/*"
    command = ["java", *_JAVA_OPTIONS, "-cp", class_path, "peer.Peer", str(MODEL_FILE)]
    return Ready(command, jar.stem.removeprefix("kafka-streams-"))


PEERS = (
    Peer("kafka-streams", "Kafka Streams", _kafka_streams, {"confluent": 1.3}),
    Peer(
        "bytewax",
        "Bytewax",
        _python_peer("bytewax", "bytewax"),
        {"confluent": 2, "kafka-python": 1},
        commits_to_kafka=False,
    ),
    Peer(
        "quix",
        "Quix Streams",
        _python_peer("quix", "quixstreams"),
        {"confluent": 5, "kafka-python": 1},
    ),
    Peer(
        "faust",
        "Faust",
        _python_peer("faust", "faust-streaming"),
        {"confluent": 5, "kafka-python": 1},
    ),
    Peer(
        "tutorial",
        "the tutorial way",
        _python_peer("tutorial", "kafka-python"),
        {"kafka-python": 1},
        one_of=100,
    ),
)
