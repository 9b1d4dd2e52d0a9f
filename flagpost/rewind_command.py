"""`flagpost rewind`: take a group back in its topics, to score again from there on."""

from collections.abc import Mapping, Sequence
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from typer import Option

from flagpost.errors import BadConfiguration, Refused
from flagpost.events import Partition
from flagpost.kafka.access_settings import kafka_access
from flagpost.kafka.administration import Administration
from flagpost.postgres.engine import create_engine
from flagpost.postgres.rewinding import read_rewindable
from flagpost.postgres.rewinding import rewind as rewind_in_postgres
from flagpost.rewind_plan import (
    Histories,
    Step,
    parse_target,
    plan_to_beginning,
    plan_to_offset,
    plan_to_time,
)
from flagpost.settings import Settings, load_settings

console = Console()


def rewind(
    *,
    to: Annotated[str, Option(help="An event time (ISO 8601), an offset, or 0: the beginning.")],
    partition: Annotated[
        int | None, Option(min=0, help="Partition of FLAGPOST_TOPIC that the offset is of.")
    ] = None,
    yes: Annotated[bool, Option("--yes", help="Do it without asking.")] = False,
) -> None:
    """Take the group back to an earlier moment of the stream, so that it scores again from there.

    All members have to be stopped. Every partition goes back to the last checkpoint before the
    first batch that reached the time; there is one for about each hour of event time. An offset
    names the time that its partition had come to. Labels go back with the transactions.

    What later messages did is removed in one transaction: flagged transactions, kept scores,
    labels, the journal, hourly counts; the counts of the positions go back, too. Dead letters stay,
    and bad messages are sent there again, under the same id. Members that start afterwards read
    the messages again.

    Exit code 2: refused, nothing was done.

    Example: flagpost rewind --to 2026-03-01T00:00:00Z
    """
    settings = load_settings()
    administration = Administration(kafka_access(settings))
    engine = create_engine(settings.database_url.get_secret_value())
    topics = [settings.topic, settings.labels_topic]
    try:
        _refuse_members(administration, settings.group)
        found = read_rewindable(engine, settings.group, topics)
        steps = make_plan(found.histories, settings, to, partition)
        if all(step.then == step.now for step in steps):
            typer.echo("Nothing to do: no partition has come so far.")
            return
        check_retention(steps, administration.bounds(topics))
        console.print(plan_table(steps))
        for group in found.other_groups:
            console.print(
                f"Group {group} reads these topics, too: its flagged transactions, kept "
                "scores and labels of these messages go as well, for rows have no group.",
                markup=False, highlight=False,
            )  # fmt: skip
        if not yes and not typer.confirm("Remove what these messages did, and score them again?"):
            raise Refused("nothing was done")
        _refuse_members(administration, settings.group)
        # Kafka first: what it knows may lag behind the positions, and never be ahead of them.
        administration.move_group(settings.group, {s.partition: s.then.next_offset for s in steps})
        removed = rewind_in_postgres(engine, settings.group, steps)
    finally:
        engine.dispose()
    typer.echo("Removed: " + ", ".join(f"{n:,} {what}" for what, n in removed.items()) + ".")
    typer.echo("Start members, and they score again from there.")


def make_plan(
    histories: Histories, settings: Settings, to: str, partition: int | None
) -> list[Step]:
    """Say where each partition goes.

    Raises:
        BadConfiguration: the target cannot be read, or lacks a partition.
        Refused: there is no checkpoint so early.
    """
    target = parse_target(to)
    if not isinstance(target, int):
        return plan_to_time(histories, target)
    if target == 0 and partition is None:
        return plan_to_beginning(histories)
    numbers = [p.number for p in histories if p.topic == settings.topic]
    if partition is None and len(numbers) != 1:
        raise BadConfiguration(f"{settings.topic} has several partitions: say --partition N, too")
    number = numbers[0] if partition is None else partition
    return plan_to_offset(histories, Partition(settings.topic, number), target)


def check_retention(steps: Sequence[Step], bounds: Mapping[Partition, tuple[int, int]]) -> None:
    """See that the topics still hold all that is to be read again.

    Raises:
        Refused: retention has passed a partition's target.
    """
    for step in steps:
        first, _ = bounds.get(step.partition, (step.then.next_offset, 0))
        if step.then.next_offset < first:
            raise Refused(
                f"{step.partition.topic}[{step.partition.number}] would go back to offset "
                f"{step.then.next_offset}, but the topic begins at {first} by now; choose a later "
                "time"
            )


def plan_table(steps: Sequence[Step]) -> Table:
    """Show where each partition goes, and what becomes undone by it."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("partition", no_wrap=True)
    for name in ("from offset", "to offset", "event time then", "messages", "flagged", "dead"):
        table.add_column(name, justify="right", no_wrap=True)
    for step in steps:
        time = step.then.event_time
        table.add_row(
            escape(f"{step.partition.topic}[{step.partition.number}]"),
            f"{step.now.next_offset:,}",
            f"{step.then.next_offset:,}",
            f"{time:%Y-%m-%d %H:%M:%S}" if time else "-",
            *(f"{n:,}" for n in (step.undone.n_in, step.undone.n_flagged, step.undone.n_dead)),
        )
    return table


def _refuse_members(administration: Administration, group: str) -> None:
    if members := administration.members(group):
        raise Refused(
            f"group {group} has members: stop them first. One that was killed counts until its "
            f"session ends. They are: {', '.join(members)}"
        )
