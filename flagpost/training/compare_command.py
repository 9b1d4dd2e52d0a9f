"""`fraud_model.py compare`: several kinds of model on the same data."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from flagpost.clock import latest_event_time_us
from flagpost.errors import BadConfiguration
from flagpost.events import TransactionDecoder, load_mapping
from flagpost.model import FraudModel
from flagpost.model_signature import model_key
from flagpost.progress import progress_bar
from flagpost.settings import load_settings
from flagpost.training.compare import Plan, Rows
from flagpost.training.compare import compare as compare_models
from flagpost.training.compare_report import markdown, plot, terminal_table
from flagpost.training.compare_rows import handbook_rows, log_rows
from flagpost.training.handbook import is_handbook_file
from flagpost.training.kinds import Kind
from flagpost.training.offline import decode_log


def compare(
    inputs: Annotated[
        list[Path],
        typer.Argument(help="Logs with labels, files of the Handbook, saved models (.joblib)."),
    ],
    *,
    out: Annotated[
        Path | None, typer.Option(help="A directory for comparison.md and comparison.png.")
    ] = None,
    kinds: Annotated[
        str, typer.Option(help="The kinds of model to train, with commas between.")
    ] = ",".join(Kind),
    train_days: Annotated[int, typer.Option(min=1, help="Days to train on.")] = 28,
    test_weeks: Annotated[int, typer.Option(min=1, help="Last weeks, to test on.")] = 4,
    flags_per_thousand: Annotated[
        float, typer.Option(min=0, max=1_000, help="How many of 1,000 are flagged.")
    ] = 5.0,
) -> None:
    """Train models on the same days of each file and measure them on the same later weeks.

    Example: python fraud_model.py compare year.jsonl mine.joblib --kinds mlp,svc --out comparison
    """
    chosen = parse_kinds(kinds)
    plan = Plan(train_days, test_weeks, flags_per_thousand)
    if out and not out.is_dir():
        raise BadConfiguration(f"--out: the directory {str(out)!r} does not exist")
    key = model_key(load_settings().model_key)
    saved = {path.stem: FraudModel.load(path, key) for path in inputs if path.suffix == ".joblib"}
    files = [path for path in inputs if path.suffix != ".joblib"]
    if not files:
        raise BadConfiguration("give at least one log or file of the Handbook to compare on")
    comparisons = []
    for path in files:
        rows = _read(path, plan)
        with progress_bar(f"Training on {path.name}") as on_progress:
            comparisons.append(compare_models(rows, plan, chosen, saved, on_progress))
        Console().print(terminal_table(comparisons[-1]))
    if out:
        (out / "comparison.md").write_text(markdown(comparisons, flags_per_thousand), "utf-8")
        plot(comparisons, out / "comparison.png")


def parse_kinds(names: str) -> list[Kind]:
    """Read names with commas between.

    Raises:
        BadConfiguration: one is unknown.
    """
    try:
        return [Kind(name.strip()) for name in names.split(",")]
    except ValueError as error:
        raise BadConfiguration(f"--kinds: {error}; there are {', '.join(Kind)}") from error


def _read(path: Path, plan: Plan) -> Rows:
    if is_handbook_file(path):
        return handbook_rows(path, plan)
    settings = load_settings()
    decoder = TransactionDecoder(load_mapping(settings.mapping))
    with progress_bar(f"Reading {path.name}") as on_progress:
        decoded = decode_log(
            path, decoder, latest_event_time_us(settings.max_future_days), on_progress
        )
    if not decoded.event_time_us.size:
        raise BadConfiguration(f"{path} holds no readable transaction")
    return log_rows(path.name, decoded, plan)
