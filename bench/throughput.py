"""What the clients do alone, what the whole pipeline does with each, and their ratio."""

from collections.abc import Callable, Sequence
from itertools import product

from bench.messages import count_labels, find_log
from bench.parts import Bench, OnProgress, in_turns
from bench.results import Cell, Figure, Goal, Row, Section, Table, ratio
from bench.runs import Kind, Run, measure
from bench.servers import PARTITIONS
from flagpost.settings import KafkaClient

NAME = "throughput"
RATIO_GOALS: dict[KafkaClient, float] = {"kafka-python": 0.75, "confluent": 0.6}
RATE_GOAL = 220
"""Thousand events a second: with confluent this is as good as the ratio."""

CPU_GOAL_SECONDS = 4
PEAK_MEMORY_GOAL_MB = 600

RAW_DRAIN = "raw drain, fetching as Flagpost"
END_TO_END = "end to end"

_HOW = (
    "{events:,} transactions and {labels:,} labels of {mean_bytes:.0f} bytes in {partitions} "
    "partitions each, batches of {batch_messages:,} messages. A drain looks at each message and "
    "counts. End to end means all features, labels, the journal and the flagged rows, each effect "
    "once. Rates run from the first batch to the last message or commit; the whole process "
    "includes the start of Python. What a start takes was measured with nothing to read."
)


def measure_throughput(bench: Bench, on_progress: OnProgress) -> Section:
    """Drain and score the same topic with every client."""
    log = find_log(bench.events)
    settings = bench.filled(log, PARTITIONS)
    for client in bench.clients:
        measure(settings, client, Kind.START, bench.events)  # compiles kernels, on a new checkout
    plan = list(product(bench.clients, Kind))
    runs = [
        measure(settings, client, kind, bench.events)
        for client, kind in in_turns(bench.repeats, plan, on_progress)
    ]
    labels = count_labels(log)
    how = _HOW.format(
        events=bench.events,
        labels=labels,
        mean_bytes=log.stat().st_size / (bench.events + labels) - 1,
        partitions=PARTITIONS,
        batch_messages=settings.batch_messages,
    )
    columns = {client: Column(client, runs, bench.events) for client in bench.clients}
    return section_of(columns, how)


class Column:
    """The figures of one client, of which there is at least one run of each kind."""

    def __init__(self, client: KafkaClient, runs: Sequence[Run], events: int) -> None:
        self._runs = [run for run in runs if run.client == client]
        self._events = events
        self.default_drain = self._rate(Kind.DEFAULT_DRAIN)
        self.raw_drain = self._rate(Kind.RAW_DRAIN)
        self.calm_drain = self._rate(Kind.CALM_DRAIN)
        self.end_to_end = self._rate(Kind.END_TO_END)
        self.wall_seconds = self._figure(Kind.END_TO_END, lambda run: run.wall_seconds)
        self.cpu_seconds = self._figure(Kind.END_TO_END, lambda run: run.cpu_seconds)
        self.start_cpu_seconds = self._figure(Kind.START, lambda run: run.cpu_seconds)
        self.peak_memory_mb = self._figure(Kind.END_TO_END, lambda run: run.peak_memory_bytes / 1e6)
        self.flagged = self._figure(Kind.END_TO_END, lambda run: run.flagged or 0)

    def _figure(self, kind: Kind, of: Callable[[Run], float]) -> Figure:
        return Figure.of([of(run) for run in self._runs if run.kind is kind])

    def _rate(self, kind: Kind) -> Figure:
        """Thousand events a second."""
        return self._figure(kind, lambda run: 1e-3 * self._events / run.seconds)

    @property
    def ratio_to_defaults(self) -> float:
        """What is left of the speed of a client that nobody has set up."""
        return ratio(self.end_to_end, self.default_drain)

    @property
    def ratio(self) -> float:
        """What is left of the client's speed, given the same fetch settings."""
        return ratio(self.end_to_end, self.raw_drain)

    @property
    def cpu_seconds_per_million(self) -> float:
        """What the worker takes for a million events once it has started."""
        seconds = self.cpu_seconds.median - self.start_cpu_seconds.median
        return 1e6 * seconds / self._events


def section_of(columns: dict[KafkaClient, Column], how: str) -> Section:
    """Arrange what was found.

    Raises:
        ValueError: runs flagged different numbers of transactions.
    """
    of_each = list(columns.values())
    [_] = {flagged for column in of_each for flagged in column.flagged.runs}

    def line(name: str, cell: Callable[[Column], Cell], digits: int = 0) -> Row:
        return Row(name, [cell(column) for column in of_each], digits)

    rates = Table(
        "Thousand events/s",
        list(columns),
        [
            line("drain, client's defaults", lambda c: c.default_drain),
            line(RAW_DRAIN, lambda c: c.raw_drain),
            line("the same, garbage collector off", lambda c: c.calm_drain),
            line(END_TO_END, lambda c: c.end_to_end),
            line("end to end / client's defaults", lambda c: c.ratio_to_defaults, 2),
            line("end to end / raw drain", lambda c: c.ratio, 2),
        ],
    )
    costs = Table(
        "The worker",
        list(columns),
        [
            line("whole process, s", lambda c: c.wall_seconds, 1),
            line("its processor time, s", lambda c: c.cpu_seconds, 1),
            line("of it a start with nothing to read, s", lambda c: c.start_cpu_seconds, 1),
            line("without the start, s per million events", lambda c: c.cpu_seconds_per_million, 1),
            line("peak memory, MB", lambda c: c.peak_memory_mb),
            line("flagged transactions", lambda c: c.flagged),
        ],
    )
    goals = [goal for client, column in columns.items() for goal in _goals(client, column)]
    return Section(NAME, "Throughput and cost", how, [rates, costs], goals)


def _goals(client: KafkaClient, column: Column) -> list[Goal]:
    goals = [
        _speed_goal(client, column),
        Goal(f"{client}: peak memory, MB", column.peak_memory_mb.most, most=PEAK_MEMORY_GOAL_MB),
    ]
    if client == "confluent":
        cpu, name = column.cpu_seconds_per_million, "processor s per million without the start"
        goals.append(Goal(f"{client}: {name}", cpu, most=CPU_GOAL_SECONDS, digits=1))
    return goals


def _speed_goal(client: KafkaClient, column: Column) -> Goal:
    least = RATIO_GOALS[client]
    by_ratio = Goal(f"{client}: end to end / raw", column.ratio, least=least, digits=2)
    name = f"{client}: thousand events/s (or {least:.2f} of raw)"
    by_rate = Goal(name, column.end_to_end.median, least=RATE_GOAL)
    return by_rate if client == "confluent" and not by_ratio.is_reached else by_ratio
