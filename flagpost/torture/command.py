"""`flagpost torture`: the published test of delivery."""

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from flagpost.errors import MustStop
from flagpost.local.stack import stop_stack
from flagpost.model import FraudModel
from flagpost.progress import progress_bar
from flagpost.settings import HOME, PRETRAINED_MODEL, KafkaClient
from flagpost.torture.database_proxy import proxy_before
from flagpost.torture.disturbed_log import write_disturbed_log
from flagpost.torture.plan import make_plan
from flagpost.torture.report import MOST_SHOWN, Report, report_of, tables, to_markdown
from flagpost.torture.run import torture as run_torture
from flagpost.torture.servers import Servers
from flagpost.torture.site import Site
from flagpost.up import bring_up

DAYS = 90
EVENTS_PER_CUSTOMER = 185
"""What a simulated customer and what is disturbed send in so many days, labels included."""

BAD_PER_THOUSAND = 2

console = Console()


def torture(
    events: Annotated[int, typer.Option(min=5_000, help="About so many messages.")] = 50_000,
    kills: Annotated[int, typer.Option(min=1, help="So many faults.")] = 20,
    seed: Annotated[int | None, typer.Option(help="Of log and plan; drawn if absent.")] = None,
    longest_outage: Annotated[
        float,
        typer.Option(min=1, max=120, help="Seconds; of the broker 15 at most, as producers wait."),
    ] = 8.0,
    client: Annotated[KafkaClient, typer.Option(help="The members' client.")] = "confluent",
    out: Annotated[
        Path | None, typer.Option(help="Write the report here: .md, and .json beside it.")
    ] = None,
) -> None:
    """Kill, freeze and cut while a log is scored, then check that each message took effect once.

    Runs on a Kafka and a PostgreSQL of its own under .flagpost/torture, which is emptied first.
    The seed that is printed gives the same log and the same plan again. Exit code 20 if any
    invariant is violated; the members' logs are kept.

    Example: flagpost torture --events 50000 --kills 20 --seed 7
    """
    seed = secrets.randbelow(2**32) if seed is None else seed
    home = HOME / "torture"
    stop_stack(home, console.print)  # what a killed run has left
    shutil.rmtree(home, ignore_errors=True)
    plan = make_plan(seed, kills, longest_outage)
    console.print(f"seed {seed}: {plan.n_members} members to begin with, {kills} faults")
    with _fresh_site(home, client) as site, progress_bar("torture") as on_progress:
        log = site.directory / "log.json"
        customers = max(events // EVENTS_PER_CUSTOMER, 20)
        n_bad = max(events * BAD_PER_THOUSAND // 1_000, 3)
        write_disturbed_log(log, customers, 2 * customers, DAYS, seed, n_bad)
        models = [PRETRAINED_MODEL, write_stricter_model(site.directory)]
        outcome = run_torture(site, plan, log, models, Servers(home), on_progress=on_progress)
    command = (
        f"flagpost torture --events {events} --kills {kills} --seed {seed}"
        f" --longest-outage {longest_outage:g} --client {client}"
    )
    report = report_of(outcome, client, command)
    _show(report)
    if out:
        _write(report, out)
    if not report.holds:
        raise MustStop(f"{report.summary}; see {home} for the members' logs")


@contextmanager
def _fresh_site(home: Path, client: KafkaClient) -> Iterator[Site]:
    """Start a stack with nothing in it, and stop it in the end."""
    try:
        settings = bring_up(home, console.print)
        database_url = settings.database_url.get_secret_value()
        with proxy_before(database_url) as proxy:
            yield Site(home, settings.kafka_bootstrap, database_url, proxy, "torture", client)
    finally:
        stop_stack(home, console.print)


def write_stricter_model(directory: Path) -> Path:
    """Write a model that flags less than the pretrained one, to change to in the middle."""
    model = FraudModel.load(PRETRAINED_MODEL)
    model.threshold = (1 + model.threshold) / 2
    path = directory / "stricter.joblib"
    model.save(path)
    return path


def _show(report: Report) -> None:
    for table in tables(report):
        console.print(table)
    for violation in report.violations[:MOST_SHOWN]:
        console.print(violation, style="red", highlight=False, markup=False)
    console.print(report.progress)
    console.print(report.summary)


def _write(report: Report, out: Path) -> None:
    out.write_text(to_markdown(report))
    out.with_suffix(".json").write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
