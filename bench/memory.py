"""Does the memory of a worker grow, or end with its windows?"""

from bench.messages import find_log
from bench.parts import Bench, OnProgress, in_turns
from bench.results import Figure, Goal, Row, Section, Table
from bench.runs import score
from bench.servers import PARTITIONS
from flagpost.settings import KafkaClient

CLIENT: KafkaClient = "confluent"
TIMES = 5
GROWTH_GOAL = 1.1

HOW = (
    "The population stays, the stream goes on: 5,000 customers and 10,000 terminals. The largest "
    "resident set of a worker on confluent-kafka that reads all of it. After 430,000 transactions "
    "the windows of 45 days are full."
)


def measure_memory(bench: Bench, on_progress: OnProgress) -> Section:
    """Score a log, and one of the same population that is several times as long."""
    sizes = [bench.events, TIMES * bench.events]
    found: dict[int, list[float]] = {}
    for events in in_turns(bench.repeats, sizes, on_progress):
        run = score(bench.filled(find_log(events), PARTITIONS), CLIENT, events)
        found.setdefault(events, []).append(run.peak_memory_bytes / 1e6)
    return section_of({events: Figure.of(runs) for events, runs in found.items()})


def section_of(peaks_mb: dict[int, Figure]) -> Section:
    """Arrange what was found for two lengths of a stream."""
    rows = [Row(f"{events:,} transactions", [peak]) for events, peak in peaks_mb.items()]
    short, long = peaks_mb.values()
    growth = long.median / short.median
    goal = Goal(f"peak memory, {TIMES} times the stream / once", growth, most=GROWTH_GOAL, digits=2)
    return Section("memory", "Memory", HOW, [Table("Peak memory", ["MB"], rows)], [goal])
