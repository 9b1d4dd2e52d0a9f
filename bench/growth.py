"""How the cost of an event grows with customers, terminals, partitions and members."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from bench.messages import find_crowded_log, find_log
from bench.parts import Bench, OnProgress, in_turns
from bench.results import Figure, Goal, Row, Section, Table
from bench.runs import Kind, Run, measure, score
from bench.servers import PARTITIONS
from flagpost.settings import KafkaClient

CLIENT: KafkaClient = "confluent"
COST_GOAL = 1.25
"""With ten times the customers and terminals an event may cost so much more."""

HOW = (
    "The same number of transactions end to end with confluent-kafka, one thing changed at a time. "
    "Ten times the customers make them in a tenth of the time: each window has fewer, and "
    "partitions are less far apart in event time. Processor time is that of all members, without "
    "what their starts take."
)


class Change(NamedTuple):
    """What differs from the first of them."""

    name: str
    find_log: Callable[[int], Path] = find_log
    partitions: int = PARTITIONS
    members: int = 1


CROWD = "10 x customers and terminals"
CHANGES = (
    Change(f"5,000 customers, 10,000 terminals, {PARTITIONS} partitions"),
    Change(CROWD, find_log=find_crowded_log),
    Change("1 partition", partitions=1),
    Change("16 partitions", partitions=16),
    Change("2 members", members=2),
)


def measure_growth(bench: Bench, on_progress: OnProgress) -> Section:
    """Score the same number of transactions with each change."""
    starts, runs = list[Run](), dict[Change, list[Run]]()
    for change in in_turns(bench.repeats, list(CHANGES), on_progress):
        settings = bench.filled(change.find_log(bench.events), change.partitions)
        if change is CHANGES[0]:
            starts.append(measure(settings, CLIENT, Kind.START, 0))
        run = score(settings, CLIENT, bench.events, change.members)
        runs.setdefault(change, []).append(run)
    start_cpu_seconds = Figure.of([run.cpu_seconds for run in starts]).median
    return section_of(runs, start_cpu_seconds, bench.events)


def section_of(runs: dict[Change, list[Run]], start_cpu_seconds: float, events: int) -> Section:
    """Arrange what was found, a row for each change; the first is what all are compared with."""
    clocks = {change: _clock_us(of_it, events) for change, of_it in runs.items()}
    processors = {
        change: _processor_us(of_it, start_cpu_seconds * change.members, events)
        for change, of_it in runs.items()
    }
    first = next(iter(runs))
    rows = [
        Row(
            change.name,
            [
                clocks[change],
                clocks[change].median / clocks[first].median,
                processors[change],
                processors[change].median / processors[first].median,
            ],
            digits=2,
        )
        for change in runs
    ]
    columns = ["us per event, clock", "ratio", "us per event, processor", "ratio"]
    goals = [
        Goal(f"{row.name}: {what}, ratio", ratio, most=COST_GOAL, digits=2)
        for row in rows
        if row.name == CROWD
        for what, ratio in (("clock", row.cells[1]), ("processor time", row.cells[3]))
        if isinstance(ratio, float)
    ]
    table = Table("An event costs", columns, rows)
    return Section("growth", "How the cost grows", HOW, [table], goals)


def _clock_us(runs: Sequence[Run], events: int) -> Figure:
    return Figure.of([1e6 * run.seconds / events for run in runs])


def _processor_us(runs: Sequence[Run], start_cpu_seconds: float, events: int) -> Figure:
    return Figure.of([1e6 * (run.cpu_seconds - start_cpu_seconds) / events for run in runs])
