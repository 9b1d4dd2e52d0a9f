"""What a score costs somebody who calls `FraudModel` himself."""

import msgspec

from bench.parts import Bench, OnProgress, in_turns
from bench.results import Section, Table, row
from bench.servers import run_script

HOW = (
    "`FraudModel.predict_proba` of the pretrained model on a matrix of features: its check, the "
    "compiled tables, and the call itself."
)


def measure_prediction(bench: Bench, on_progress: OnProgress) -> Section:
    """Score one row and many, some times, each time in a process of its own."""
    runs = []
    for _ in in_turns(bench.repeats, [()], on_progress):
        usage = run_script(bench.stack, "-m", "bench.programs.predict")
        runs.append(msgspec.json.decode(usage.stdout, type=dict[int, float]))
    return section_of(runs)


def section_of(runs: list[dict[int, float]]) -> Section:
    """Arrange the microseconds per row by the size of the batch."""
    rows = [row(f"{size:,} at a time", [[run[size] for run in runs]], 2) for size in runs[0]]
    return Section("prediction", "FraudModel", HOW, [Table("A score", ["us per row"], rows)])
