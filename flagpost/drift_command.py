"""`flagpost drift`: whether the transactions of these days still look like the training data."""

from typing import Annotated

from rich.console import Console
from typer import Option

from flagpost.core.spread import SAMPLE_EVERY
from flagpost.drift_report import daily_table, drift_table
from flagpost.postgres.drift import last_counted, read_daily_drift, read_drift
from flagpost.postgres.engine import create_engine
from flagpost.settings import load_settings


def drift(
    *,
    days: Annotated[int, Option(min=1, help="Days up to the last one that was counted.")] = 7,
    by_day: Annotated[bool, Option("--by-day", help="Each day by itself.")] = False,
    model_version: Annotated[
        str | None, Option(help="Compare with this model; by default the one that counted last.")
    ] = None,
) -> None:
    """Compare how features and scores spread with the training data of the model.

    Example: flagpost drift --days 30
    """
    settings, console = load_settings(), Console()
    engine = create_engine(settings.database_url.get_secret_value())
    try:
        counted = last_counted(engine, settings.topic, settings.group, days, model_version)
        if counted is None:
            console.print(
                f"Nothing was counted yet in topic {settings.topic} by group {settings.group}"
                + (f" with model {model_version}." if model_version else "."),
                f"A worker counts one transaction in {SAMPLE_EVERY} as it scores them.",
                sep="\n", markup=False, highlight=False,
            )  # fmt: skip
        elif by_day:
            console.print(daily_table(counted, read_daily_drift(engine, counted)))
        else:
            console.print(drift_table(counted, read_drift(engine, counted)))
    finally:
        engine.dispose()
