"""Who is compared: where each peer is, how it is started, and what it is a goal to be ahead of."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from bench.peers.flink import flink_command, flink_program
from bench.peers.installation import Installation, python_environment, python_of
from bench.peers.java import java_command, java_program
from bench.peers.job import MODEL_FILE
from flagpost.settings import KafkaClient


@dataclass(frozen=True, eq=False)
class Peer:
    """Another tool that does the job.

    Attributes:
        name: on the command line, of its requirements and of its program.
        package: has its version in the lock.
        command: starts it, once it is installed.
        goals: how many times as fast Flagpost has to be with each client.
        one_of: it gets one of so many messages, since it is so slow.
        commits_to_kafka: false if its offsets are elsewhere and Kafka knows nothing of them.
        is_timely: whether it is made for rows that come soon, so that its latency is of interest.
    """

    name: str
    title: str
    package: str
    installation: Installation
    command: Callable[[], list[str]]
    goals: Mapping[KafkaClient, float]
    one_of: int = field(default=1, kw_only=True)
    commits_to_kafka: bool = field(default=True, kw_only=True)
    is_timely: bool = field(default=True, kw_only=True)

    @property
    def full_title(self) -> str:
        """The title with the version."""
        return f"{self.title} {self.installation.version_of(self.package)}"


def _in_python(name: str) -> tuple[Installation, Callable[[], list[str]]]:
    installation = python_environment(name)
    command = [str(python_of(installation.home)), "-m", f"bench.peers.apps.{name}"]
    return installation, lambda: command


PEERS = (
    Peer(
        "kafka-streams",
        "Kafka Streams",
        "kafka-streams",
        java_program(),
        lambda: java_command("peer.Peer", str(MODEL_FILE)),
        {"confluent": 1.3},
    ),
    Peer(
        "bytewax",
        "Bytewax",
        "bytewax",
        *_in_python("bytewax"),
        {"confluent": 2, "kafka-python": 1},
        commits_to_kafka=False,
    ),
    Peer(
        "quix",
        "Quix Streams",
        "quixstreams",
        *_in_python("quix"),
        {"confluent": 5, "kafka-python": 1},
        one_of=2,
    ),
    Peer(
        "pyflink",
        "PyFlink",
        "apache-flink",
        flink_program(),
        flink_command,
        {"kafka-python": 1},
        one_of=5,
        commits_to_kafka=False,
    ),
    Peer(
        "faust",
        "Faust",
        "faust-streaming",
        *_in_python("faust"),
        {"confluent": 5, "kafka-python": 1},
        one_of=10,
        is_timely=False,
    ),
    Peer(
        "tutorial",
        "the tutorial way, kafka-python",
        "kafka-python",
        *_in_python("tutorial"),
        {"kafka-python": 1},
        one_of=1_000,
        is_timely=False,
    ),
)
