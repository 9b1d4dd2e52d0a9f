"""`flagpost demo`: the whole pipeline once, from nothing to flagged transactions."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from sqlalchemy import Engine

from flagpost.clock import latest_event_time_us
from flagpost.core.effects import Counts
from flagpost.demo_report import counts_table, flagged_table, quality_table
from flagpost.events import TransactionDecoder, load_mapping
from flagpost.local.stack import servers_of, stop_stack
from flagpost.postgres.engine import create_engine
from flagpost.postgres.flagged import flagged
from flagpost.postgres.store import PostgresStore
from flagpost.settings import HOME, Settings
from flagpost.training.labels import find_frauds
from flagpost.training.offline import decode_log
from flagpost.up import bring_up

ROOT = Path(__file__).parent.parent

console = Console()


def demo(
    log: Annotated[Path, typer.Argument(help="The log to replay.")] = Path("logFraud.json"),
) -> None:
    """Start Kafka and PostgreSQL, replay a log, score it, show what was flagged, stop.

    The data stay under .flagpost/: a second demo finds that it has seen every message before.

    Example: flagpost demo
    """
    with _stack_for_the_demo() as settings:
        engine = create_engine(settings.database_url.get_secret_value())
        try:
            store = PostgresStore(engine, settings.group)
            before = _counts(store, settings)
            _run("producer.py", settings, str(log))
            _run("consumer_transform.py", settings, "--until-caught-up")
            _report(log, settings, _counts(store, settings) - before, engine)
        finally:
            engine.dispose()


@contextmanager
def _stack_for_the_demo() -> Iterator[Settings]:
    """Bring the stack up, and down again if it was not running before."""
    runs_already = any(server.process() is not None for server in servers_of(HOME))
    try:
        yield bring_up(HOME, console.print)
    finally:
        if not runs_already:
            stop_stack(HOME, console.print)


def _run(script: str, settings: Settings, *arguments: str) -> None:
    """Run one of the two programs as anybody would.

    Raises:
        typer.Exit: the program failed and has said why.
    """
    console.print(f"\n[bold]python {script} {' '.join(arguments)}[/bold]", highlight=False)
    environment = {
        "FLAGPOST_KAFKA_BOOTSTRAP": settings.kafka_bootstrap,
        "FLAGPOST_DATABASE_URL": settings.database_url.get_secret_value(),
    }
    finished = subprocess.run(  # noqa: S603  (our own scripts)
        [sys.executable, ROOT / script, *arguments],
        env=os.environ | environment,
        check=False,
    )
    if finished.returncode:
        raise typer.Exit(finished.returncode)


def _counts(store: PostgresStore, settings: Settings) -> Counts:
    return sum(store.totals(settings.topic).values(), Counts())


def _report(log: Path, settings: Settings, counts: Counts, engine: Engine) -> None:
    decoder = TransactionDecoder(load_mapping(settings.mapping))
    decoded = decode_log(log, decoder, latest_event_time_us(settings.max_future_days))
    ids = [each for batch in decoded.batches for each in batch.transaction_id]
    found = flagged(engine)
    found = found[found["transaction_id"].isin(ids)]
    frauds = find_frauds(decoded.labels, found["transaction_id"])
    n_frauds = int(find_frauds(decoded.labels, set(ids)).sum())
    console.print()
    console.print(flagged_table(found, frauds))
    console.print(counts_table(counts))
    console.print(quality_table(found, frauds, n_frauds))
    if counts.n_in == counts.n_duplicate > 0:
        console.print("Every message had been scored by an earlier run: nothing was written twice.")
