"""`flagpost dead-letters replay`: send bad messages again, as they were or edited."""

import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from flagpost.dead_letters.letter import LetterId
from flagpost.dead_letters.reading import (
    ReasonOption,
    SinceOption,
    TopicOption,
    find_letters,
    open_database,
    open_letters,
    select,
)
from flagpost.dead_letters.replaying import Outcome, Replaying
from flagpost.errors import Refused, UnreadableInput
from flagpost.kafka.access_settings import kafka_access
from flagpost.kafka.dead_letter_reader import read_value
from flagpost.kafka.resending import Resender
from flagpost.postgres.replays import Edit, find_unfinished
from flagpost.settings import load_settings


def replay(
    letters: Annotated[list[str] | None, Argument(metavar="[ID]...", help="Which ones.")] = None,
    *,
    everything: Annotated[bool, Option("--all", help="All that were not replayed yet.")] = False,
    reason: ReasonOption = None,
    topic: TopicOption = None,
    since: SinceOption = None,
    value_file: Annotated[
        str | None, Option(help="Send this instead of the value of one ID; - is stdin.")
    ] = None,
    key: Annotated[str | None, Option(help="Send this instead of the key of one ID.")] = None,
    finish: Annotated[
        bool, Option("--finish", help="Send what is half done, all of it or these.")
    ] = False,
) -> None:
    """Send dead letters to the topic that they came from, with their keys and headers, each once.

    Each is claimed in PostgreSQL before it is sent and marked behind it, so two operators at the
    same time send it once. A crash between the two leaves it half done: it may have been sent, or
    not. When whoever claimed it is gone, --finish sends it (again) as it was to be sent, and marks
    it. That is harmless, for a transaction that arrives twice is recognised by its id.

    A message that is still bad becomes a new dead letter with a new id. Each goes to the partition
    that it came from. The key has to be the user_id: give --key when an edit changes that, and the
    partition follows from it, as Java's and kafka-python's producers choose it.

    Exit codes: 0, all of them are replayed now or were before; 1, some are half done or were not
    acknowledged; 2, nothing was done.

    Example: flagpost dead-letters replay transactions/3/1041 --value-file message.json
    """
    settings, ids = load_settings(), [LetterId.parse(each) for each in letters or ()]
    chosen = select(reason, topic, since)
    if bool(ids) == (everything or any((reason, topic, since))) and (ids or not finish):
        raise Refused("say which: IDs, or else --all, --reason, --topic or --since")
    edit = _read_edit(ids, value_file, key, finish=finish)
    access = kafka_access(settings)
    with open_database(settings) as engine, open_letters(settings) as found:
        replaying = Replaying(engine, Resender(access), partial(read_value, access))
        wanted = find_letters(found, ids) if ids else (each for each in found if each in chosen)
        if finish:
            replaying.finish(wanted, find_unfinished(engine))
        else:
            replaying.replay(wanted, edit)
    _report(replaying.outcome)


def _read_edit(
    ids: list[LetterId], value_file: str | None, key: str | None, *, finish: bool
) -> Edit:
    if value_file is None and key is None:
        return Edit()
    if len(ids) != 1 or finish:
        raise Refused("--value-file and --key are for one ID alone, and not for --finish")
    value = None if value_file is None else _read_value_file(value_file)
    return Edit(None if key is None else key.encode(), value)


def _read_value_file(name: str) -> bytes:
    if name == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise UnreadableInput(f"{name} cannot be read: {error.strerror}") from error


def _report(outcome: Outcome) -> None:
    typer.echo(f"replayed {len(outcome.replayed):,}, before {len(outcome.done_before):,}")
    for each in outcome.half_done:
        _warn(
            f"{each.id} is half done: claimed by {each.claimed_by} at {each.claimed_at}. When that "
            f"is gone: flagpost dead-letters replay --finish {each.id}"
        )
    for failure in outcome.failures:
        _warn(str(failure))
    if outcome.half_done or outcome.failures:
        raise typer.Exit(1)


def _warn(line: str) -> None:
    typer.echo(f"error: {line}", err=True)
