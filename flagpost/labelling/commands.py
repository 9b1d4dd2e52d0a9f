"""`flagpost label` and `flagpost load-labels`: what became known of transactions."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from flagpost.errors import BadConfiguration, Refused, Undelivered
from flagpost.event_times import parse_time
from flagpost.labelling.completion import Completed, Defaults, Statement
from flagpost.labelling.reading import read_statements
from flagpost.labelling.sending import prepare, refuse_problems, send
from flagpost.plain_times import UNREADABLE_TIME
from flagpost.progress import progress_bar
from flagpost.settings import load_settings

KnownAtOption = Annotated[
    str | None,
    Option(help="When this became known, where a row does not say (ISO 8601); by default now."),
]
DryRunOption = Annotated[bool, Option("--dry-run", help="Check everything and send nothing.")]


def label(
    ids: Annotated[list[str], Argument(metavar="ID...", help="Ids of transactions.")],
    *,
    fraud: Annotated[
        bool | None,
        Option("--fraud/--genuine", help="What became known of them; one of the two is needed."),
    ] = None,
    known_at: KnownAtOption = None,
    source: Annotated[str, Option(help="Who found out.")] = "review",
    timestamp: Annotated[
        str | None, Option(help="When it happened, if no table has the ID (ISO 8601).")
    ] = None,
    user_id: Annotated[str | None, Option(help="Whose it was, likewise.")] = None,
    terminal_id: Annotated[str | None, Option(help="Where it was, likewise.")] = None,
    dry_run: DryRunOption = False,
) -> None:
    """Say that transactions were fraud, or were genuine after all.

    A label goes to FLAGPOST_LABELS_TOPIC, and workers learn it. Time and terminal of a transaction
    are looked up among the flagged ones, the kept scores and earlier labels; of one that is nowhere
    there, give them. What is given and contradicts the tables is refused. All ids are labelled, or
    none.

    Exit codes: 0, the brokers have all labels; 1, not all; 2, an id is not known, or what is given
    of it is wrong, and nothing was sent.

    Example: flagpost label TX0006580 TX0006611 --fraud
    """
    if fraud is None:
        raise Refused("say what became known: --fraud or --genuine")
    said = timestamp, user_id, terminal_id
    if len(ids) > 1 and any(said):
        raise Refused("--timestamp, --user-id and --terminal-id are for one ID alone")
    statements = {each: Statement(each, None, None, *said) for each in ids}
    _label(statements, Defaults(fraud, _moment(known_at), source), dry_run=dry_run)


def load_labels(
    file: Annotated[Path, Argument(help="CSV, JSON lines or Parquet; may end in .gz.")],
    *,
    fraud: Annotated[
        bool | None,
        Option("--fraud/--genuine", help="What became known, where a row has no is_fraud."),
    ] = None,
    known_at: KnownAtOption = None,
    source: Annotated[str, Option(help="Who found out, where a row has no source.")] = "chargeback",
    skip_unknown: Annotated[
        bool, Option("--skip-unknown", help="Leave out rows that cannot be used; exit code 1.")
    ] = False,
    dry_run: DryRunOption = False,
) -> None:
    """Load labels from a file, such as a list of chargebacks.

    A row has transaction_id, and may have is_fraud (true, false, 1, 0), known_at and source. Of a
    transaction that is neither flagged nor kept nor labelled it needs timestamp and terminal_id,
    too, and should have user_id; of others, what contradicts the tables is refused. Other columns
    are passed over. The whole file is checked before anything is sent.
    Rows that say fraud and genuine of one transaction as of the same known_at cannot be used.

    To load a file again does no harm where the labels have the same known_at: workers count them as
    duplicates.

    Exit codes: 0, the brokers have all labels; 1, not all, or rows were left out; 2, rows cannot be
    used and nothing was sent; 4, the file cannot be read.

    Example: flagpost load-labels chargebacks.csv --fraud --known-at 2025-03-20
    """
    with progress_bar("reading") as on_progress:
        statements = read_statements(file, on_progress)
    defaults = Defaults(fraud, _moment(known_at), source)
    _label(statements, defaults, dry_run=dry_run, skip_unknown=skip_unknown)


def _label(
    statements: dict[str, Statement],
    defaults: Defaults,
    *,
    dry_run: bool,
    skip_unknown: bool = False,
) -> None:
    settings = load_settings()
    with progress_bar("looking up") as on_progress:
        labels = prepare(settings, statements, defaults, on_progress)
    if not skip_unknown:
        refuse_problems(labels.problems)
    for problem in labels.problems:
        typer.echo(f"left out: {problem}", err=True)
    typer.echo(_describe(labels))
    if dry_run:
        typer.echo("Nothing was sent.")
    elif labels.values:
        _send(labels, defaults)
    if labels.problems:
        raise typer.Exit(1)


def _send(labels: Completed, defaults: Defaults) -> None:
    settings = load_settings()
    try:
        with progress_bar(settings.labels_topic) as on_progress:
            send(settings, labels, on_progress)
    except Undelivered as error:
        error.add_note(f"do it again with --known-at {defaults.known_at}: none counts twice")
        raise
    typer.echo(f"Sent to {settings.labels_topic}.")


def _describe(labels: Completed) -> str:
    counts = labels.counts
    text = (
        f"{counts['fraud']:,} fraud, {counts['genuine']:,} genuine; of these "
        f"{counts['found in the tables']:,} were found in the tables"
    )
    if counts["without a terminal"]:
        text += f", and {counts['without a terminal']:,} name no terminal and change no score"
    return text + "."


def _moment(known_at: str | None) -> str:
    """Return the time that was given, or the present one to the second."""
    if known_at is None:
        return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    if parse_time(known_at) == UNREADABLE_TIME:
        raise BadConfiguration(f"--known-at {known_at!r} is no time; one is 2026-03-01T12:00:00Z")
    return known_at
