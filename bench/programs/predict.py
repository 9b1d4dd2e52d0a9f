"""Scores rows with the pretrained model, one by one and in batches.

Example: python -m bench.programs.predict
"""

import time

import msgspec
import numpy as np
import typer

from flagpost.core.features import FEATURE_NAMES
from flagpost.model import FraudModel
from flagpost.settings import PRETRAINED_MODEL

BATCHES = (1, 100, 10_000)
LEAST_SECONDS = 1.0
SEED = 214


def main() -> None:
    """Print the microseconds per row for each size of a batch as JSON."""
    model = FraudModel.load(PRETRAINED_MODEL)
    rows = np.random.default_rng(SEED).uniform(0, 100, (max(BATCHES), len(FEATURE_NAMES)))
    model.predict_proba(rows)  # compiles
    found = {size: 1e6 * _seconds(model, rows[:size]) / size for size in BATCHES}
    typer.echo(msgspec.json.encode(found).decode())


def _seconds(model: FraudModel, rows: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> float:
    """Return how long one call takes, on the average of some."""
    began, calls = time.perf_counter(), 0
    while (taken := time.perf_counter() - began) < LEAST_SECONDS:
        model.predict_proba(rows)
        calls += 1
    return taken / calls


if __name__ == "__main__":
    typer.run(main)
