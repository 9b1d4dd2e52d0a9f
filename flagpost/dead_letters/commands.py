"""`flagpost dead-letters`: look at messages that could not be read, and send them again."""

import sys
from collections import deque
from typing import Annotated

import msgspec
import typer
from rich.console import Console
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
from flagpost.dead_letters.replay_command import replay
from flagpost.dead_letters.report import as_json, facts_table, letters_table, printable
from flagpost.entry_point import entry_point, program
from flagpost.kafka.access_settings import kafka_access
from flagpost.kafka.dead_letter_reader import read_value
from flagpost.postgres.replays import find_replays
from flagpost.settings import load_settings


def list_letters(
    *,
    reason: ReasonOption = None,
    topic: TopicOption = None,
    since: SinceOption = None,
    limit: Annotated[int, Option(min=1, help="So many, the last in the topic.")] = 50,
    json: Annotated[bool, Option("--json", help="For tools: a JSON object a line.")] = False,
) -> None:
    """List dead letters: which message, when it was sent, why it is dead, whether it was replayed.

    The id is TOPIC/PARTITION/OFFSET of the bad message. A dead letter that came twice is listed
    once. Replay is open, replayed, or half done: see `flagpost dead-letters replay --help`.

    Example: flagpost dead-letters list --reason wrong_type --since 2026-03-01
    """
    settings, chosen = load_settings(), select(reason, topic, since)
    with open_letters(settings) as letters:
        found = deque((each for each in letters if each in chosen), maxlen=limit)
    with open_database(settings) as engine:
        replays = find_replays(engine, [each.id for each in found])
    if not json:
        Console().print(letters_table(found, replays))
        return
    for each in found:
        typer.echo(msgspec.json.encode(as_json(each, replays.get(each.id))))


def show(
    letter: Annotated[str, Argument(metavar="ID", help="TOPIC/PARTITION/OFFSET.")],
    *,
    value: Annotated[
        bool, Option("--value", help="The value alone, byte for byte: to be edited.")
    ] = False,
) -> None:
    """Show one dead letter: what is wrong with it, its key and headers, and its whole value.

    What Flagpost itself says of it holds no card number. Key, headers and value are the sender's,
    with control codes escaped; --value alone gives the bytes as they are.

    Example: flagpost dead-letters show transactions/3/1041 --value > message.json
    """
    settings, place = load_settings(), LetterId.parse(letter)
    with open_letters(settings) as letters:
        [found] = find_letters(letters, [place])
    content = found.value
    if content is None and found.omitted_bytes is not None:
        content = read_value(kafka_access(settings), place)
    if value:
        sys.stdout.buffer.write(content or b"")
        return
    with open_database(settings) as engine:
        replays = find_replays(engine, [place])
    Console().print(facts_table(found, replays.get(place)))
    typer.echo(f"\n{'(no value)' if content is None else printable(content)}")


dead_letters = program("Look at messages that could not be read, and send them again.")
dead_letters.command("list")(entry_point(list_letters))
dead_letters.command()(entry_point(show))
dead_letters.command()(entry_point(replay))
