"""`flagpost load-marketing`: how often something was shown and clicked on, day by day."""

from pathlib import Path
from typing import Annotated

import typer

from flagpost.marketing import read_marketing
from flagpost.postgres.engine import create_engine
from flagpost.postgres.marketing import store_marketing
from flagpost.settings import load_settings


def load_marketing(
    file: Annotated[Path, typer.Argument(help="Columns event_day, impressions, clicks.")],
) -> None:
    """Load impressions and clicks by day: the ctr of feature.training_fraud_daily.

    The file is CSV, JSON lines or Parquet. It is loaded whole or not at all; a day that was loaded
    before is replaced. Needs a database user who may write raw.marketing_daily, such as the owner.

    Example: flagpost load-marketing examples/marketing.csv
    """
    days = read_marketing(file)
    engine = create_engine(load_settings().database_url.get_secret_value())
    try:
        store_marketing(engine, days)
    finally:
        engine.dispose()
    first, last = min(day.event_day for day in days), max(day.event_day for day in days)
    typer.echo(f"Days loaded: {len(days):,}, from {first} to {last}.")
