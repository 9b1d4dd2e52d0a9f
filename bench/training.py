"""What it takes to make a model: simulator, features and fit over half a year of payments."""

import msgspec

from bench.parts import Bench, OnProgress, in_turns
from bench.results import Figure, Row, Section, Table
from bench.servers import run_script

CUSTOMERS, TERMINALS, DAYS = 5_000, 10_000, 183
QUICK_DAYS = 30

_HOW = (
    "{n:,} transactions of {customers:,} customers at {terminals:,} terminals in {days} days, in "
    "one process: simulated, written to Parquet and read again, passed through the windows of the "
    "stream in one pass, and all of them fitted."
)


class Times(msgspec.Struct, frozen=True):
    """Seconds of each step."""

    transactions: int
    simulate: float
    write: float
    observe: float
    fit: float


def measure_training(bench: Bench, on_progress: OnProgress) -> Section:
    """Do it some times, each in a process of its own."""
    days = QUICK_DAYS if bench.is_quick else DAYS
    runs, peaks_mb = list[Times](), list[float]()
    for _ in in_turns(bench.repeats, [days], on_progress):
        usage = run_script(bench.stack, "-m", "bench.programs.train", days)
        runs.append(msgspec.json.decode(usage.stdout, type=Times))
        peaks_mb.append(usage.peak_memory_bytes / 1e6)
    return section_of(runs, peaks_mb, days)


def section_of(runs: list[Times], peaks_mb: list[float], days: int) -> Section:
    """Arrange what was found."""
    n = runs[0].transactions
    seconds = {
        "simulator": Figure.of([run.simulate for run in runs]),
        "write and read a file": Figure.of([run.write for run in runs]),
        "features": Figure.of([run.observe for run in runs]),
        "fit": Figure.of([run.fit for run in runs]),
    }
    rows = [Row(name, [each, 1e6 * each.median / n], 1) for name, each in seconds.items()]
    tables = [
        Table("Steps", ["s", "us per transaction"], rows),
        Table("Its memory", ["MB"], [Row("peak", [Figure.of(peaks_mb)])]),
    ]
    how = _HOW.format(n=n, customers=CUSTOMERS, terminals=TERMINALS, days=days)
    return Section("training", "Training", how, tables)
