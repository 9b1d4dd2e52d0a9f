"""`flagpost status`: the servers of this directory, and how far the pipeline is."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, TypeVar

import msgspec
import typer
from rich.console import Console
from typer import Option

from flagpost.errors import FlagpostError
from flagpost.kafka.access_settings import kafka_access
from flagpost.kafka.administration import Administration
from flagpost.local.overview import overview
from flagpost.local.record import read_record
from flagpost.pipeline_status import InKafka, PipelineStatus, Standing
from flagpost.postgres.engine import create_engine
from flagpost.postgres.standings import read_standings
from flagpost.settings import HOME, Settings, load_settings
from flagpost.status_report import as_json, error_table, pipeline_table

Told = TypeVar("Told")


def status(
    *,
    json: Annotated[bool, Option("--json", help="For tools: one JSON object.")] = False,
    stalled_after_seconds: Annotated[
        float,
        Option("--stalled-after", min=0, help="Seconds without progress that are too long."),
    ] = 60,
) -> None:
    """Show how far each partition is, who owns it and what went wrong; exit 1 if anything is wrong.

    Wrong is: Kafka or PostgreSQL does not answer, or lacks a topic or tables; messages wait and the
    group has no member, or nothing moves; a partition's next message is not in its topic; the owner
    waits for a server or ended by an error. Each is a line on stderr. If one server is away, what
    the other one tells is shown. The counts are in = clean + flagged + duplicate + dead. Servers
    that `flagpost up` started here are shown, too.

    Example: flagpost status --json | jq '[.partitions[].lag] | add'
    """
    settings = load_settings()
    found = read_status(settings)
    problems = found.problems(stalled_after_seconds)
    if json:
        typer.echo(msgspec.json.encode(as_json(found, problems)))
    else:
        _show(found)
    for problem in problems:
        typer.echo(f"wrong: {problem}", err=True)
    if problems:
        raise typer.Exit(1)


def read_status(settings: Settings) -> PipelineStatus:
    """Ask both servers; one that does not answer is told as a problem. Blocks."""
    unreachable: list[str] = []
    topics = [settings.topic, settings.labels_topic]

    def in_kafka() -> InKafka:
        administration = Administration(kafka_access(settings))
        return InKafka(administration.bounds(topics), administration.members(settings.group))

    def in_postgres() -> list[Standing]:
        engine = create_engine(settings.database_url.get_secret_value())
        try:
            return read_standings(engine, settings.group, topics)
        finally:
            engine.dispose()

    kafka, standings = _ask(in_kafka, unreachable), _ask(in_postgres, unreachable)
    return PipelineStatus(datetime.now(UTC), settings.group, kafka, standings, unreachable)


def _ask(ask: Callable[[], Told], unreachable: list[str]) -> Told | None:
    try:
        return ask()
    except FlagpostError as error:
        unreachable.append(str(error))
        return None


def _show(found: PipelineStatus) -> None:
    console = Console()
    if read_record(HOME) is not None:
        console.print(overview(HOME))
    console.print(pipeline_table(found))
    if errors := error_table(found):
        console.print(errors)
