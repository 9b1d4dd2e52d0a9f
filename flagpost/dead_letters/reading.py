"""What all commands on dead letters need: the topic, the database, and an argument or two."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Annotated

from sqlalchemy import Engine
from typer import Option

from flagpost.bad_messages import Reason
from flagpost.core.calendar import EPOCH
from flagpost.dead_letters.letter import DeadLetter, LetterId, Selection
from flagpost.errors import BadConfiguration, Refused
from flagpost.event_times import parse_time
from flagpost.kafka.access_settings import kafka_access
from flagpost.kafka.dead_letter_reader import read_dead_letters
from flagpost.plain_times import UNREADABLE_TIME
from flagpost.postgres.engine import create_engine
from flagpost.progress import progress_bar
from flagpost.settings import Settings

ReasonOption = Annotated[str | None, Option(help="With this reason, such as wrong_type.")]
TopicOption = Annotated[str | None, Option(help="Of this topic.")]
SinceOption = Annotated[str | None, Option(help="Sent at this time or later (ISO 8601).")]


@contextmanager
def open_letters(settings: Settings) -> Iterator[Iterator[DeadLetter]]:
    """Read the dead-letter topic, each dead letter once; shows a progress bar."""
    access, topic = kafka_access(settings), settings.dead_letter_topic
    with progress_bar(topic) as on_progress:
        yield read_dead_letters(access, topic, on_progress)


@contextmanager
def open_database(settings: Settings) -> Iterator[Engine]:
    """Make an engine that is let go of at the end."""
    engine = create_engine(settings.database_url.get_secret_value())
    try:
        yield engine
    finally:
        engine.dispose()


def find_letters(letters: Iterator[DeadLetter], ids: list[LetterId]) -> list[DeadLetter]:
    """Find some dead letters by their ids.

    Raises:
        Refused: one of them is not there.
    """
    found = {letter.id: letter for letter in letters if letter.id in ids}
    for each in ids:
        if each not in found:
            raise Refused(f"there is no dead letter {each}")
    return [found[each] for each in dict.fromkeys(ids)]


def select(reason: str | None, topic: str | None, since: str | None) -> Selection:
    """Understand the options.

    Raises:
        BadConfiguration: the time cannot be read, or there is no such reason.
    """
    if reason is not None and reason not in set(Reason):
        known = ", ".join(sorted(Reason))
        raise BadConfiguration(f"--reason is {reason!r}; expected one of {known}")
    if since is None:
        return Selection(reason, topic)
    return Selection(reason, topic, _read_time(since))


def _read_time(text: str) -> datetime:
    time_us = parse_time(text)
    if time_us == UNREADABLE_TIME:
        raise BadConfiguration(f"--since {text!r} is no time; one is 2026-03-01T12:00:00Z")
    return EPOCH + timedelta(microseconds=time_us)
