"""`flagpost simulate`: a log of card payments to try everything with."""

import time
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from typer import Option

from flagpost.errors import BadConfiguration
from flagpost.training import simulator
from flagpost.training.simulator import Scenario, Simulation


class Form(StrEnum):
    """What is written: a log with labels, or the columns of the Fraud Detection Handbook."""

    LOG = "log"
    HANDBOOK = "handbook"


ENDINGS = {Form.LOG: (".json", ".jsonl"), Form.HANDBOOK: (".parquet",)}


def simulate(
    *,
    out: Annotated[Path, Option(help="The file to write: .json or .jsonl, .parquet for handbook.")],
    form: Annotated[
        Form, Option("--format", help="A log, or the Fraud Detection Handbook's columns.")
    ] = Form.LOG,
    customers: Annotated[int, Option(help="How many cards pay.")] = 105,
    terminals: Annotated[int, Option(help="How many terminals they pay at.")] = 210,
    days: Annotated[int, Option(help="How many days the log covers.")] = 76,
    start: Annotated[str, Option(help="The first day, YYYY-MM-DD.")] = "2025-01-01",
    seed: Annotated[int, Option(help="The same seed gives the same bytes.")] = 38,
) -> None:
    """Write a log of simulated card payments, frauds among them, and the labels of the frauds.

    Example: flagpost simulate --customers 5000 --terminals 10000 --days 183 --out half-year.jsonl
    """
    began = time.monotonic()
    _check_out(out, ENDINGS[form])
    simulation = simulator.simulate(customers, terminals, days, _parse_day(start), seed)
    if form == Form.HANDBOOK:
        size_bytes = simulator.write_handbook(simulation, out)
    else:
        size_bytes = _write_with_progress(simulation, out)
    summary = _summary(simulation, size_bytes, time.monotonic() - began)
    Console().print(summary)


def _check_out(out: Path, endings: tuple[str, ...]) -> None:
    if out.suffix not in endings:
        raise BadConfiguration(f"--out must end in {' or '.join(endings)}, but it is {str(out)!r}")
    if not out.parent.is_dir():
        raise BadConfiguration(f"--out: the directory {str(out.parent)!r} does not exist")
    if out.is_dir():
        raise BadConfiguration(f"--out: {str(out)!r} is a directory, not a file")


def _parse_day(start: str) -> date:
    try:
        return date.fromisoformat(start)
    except ValueError as error:
        raise BadConfiguration(f"--start must be a day YYYY-MM-DD, not {start!r}") from error


def _write_with_progress(simulation: Simulation, out: Path) -> int:
    terminal = Console(stderr=True)
    with Progress(console=terminal, disable=not terminal.is_terminal, transient=True) as progress:
        task = progress.add_task(f"Writing {out.name}", total=simulation.transactions)
        return simulator.write_log(simulation, out, lambda rows: progress.advance(task, rows))


def _summary(simulation: Simulation, size_bytes: int, seconds: float) -> Table:
    per_scenario = np.bincount(simulation.scenario, minlength=len(Scenario))
    frauds = int(per_scenario[Scenario.HIGH_AMOUNT :].sum())
    table = Table("simulated", "")
    table.columns[1].justify = "right"
    table.add_row("transactions", f"{simulation.transactions:,}")
    table.add_row("frauds", f"{frauds:,}")
    for scenario in list(Scenario)[Scenario.HIGH_AMOUNT :]:
        table.add_row(f"  {scenario.name.lower().replace('_', ' ')}", f"{per_scenario[scenario]:,}")
    table.add_row("fraud share", f"{frauds / max(simulation.transactions, 1):.2%}")
    table.add_row("labels", f"{len(simulation.labels.transaction):,}")
    table.add_row("bytes", f"{size_bytes:,}")
    table.add_row("seconds", f"{seconds:.1f}")
    return table
