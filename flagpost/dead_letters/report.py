"""Dead letters as tables for people, and as JSON for tools."""

from collections.abc import Iterable, Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from flagpost.dead_letters.letter import DeadLetter, LetterId
from flagpost.postgres.replays import Replay

Replays = Mapping[LetterId, Replay]


def state_of(replay: Replay | None) -> str:
    """Say how far the replay of a dead letter is."""
    if replay is None:
        return "open"
    return "half done" if replay.replayed_at is None else "replayed"


def letters_table(letters: Iterable[DeadLetter], replays: Replays) -> Table:
    """Show a row for each dead letter."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for name in ("id", "time", "reason", "field", "replay"):
        table.add_column(name, no_wrap=True)
    table.add_column("message")
    for each in letters:
        time = f"{each.sent_at:%Y-%m-%d %H:%M:%S}" if each.sent_at else "-"
        state = state_of(replays.get(each.id))
        row = (str(each.id), time, each.reason, each.field or "-", state, each.message)
        table.add_row(*(escape(printable(cell)) for cell in row))
    return table


def facts_table(letter: DeadLetter, replay: Replay | None) -> Table:
    """Show all that is known of a dead letter but its value."""
    facts = {
        "id": str(letter.id),
        "time": letter.sent_at.isoformat() if letter.sent_at else "-",
        "reason": letter.reason,
        "field": letter.field or "-",
        "message": letter.message,
        "replay": _replay_in_full(replay),
        "key": "-" if letter.key is None else printable(letter.key),
        **{f"header {name}": printable(content or b"") for name, content in letter.headers},
    }
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, content in facts.items():
        table.add_row(escape(printable(name)), escape(printable(content)))
    return table


def as_json(letter: DeadLetter, replay: Replay | None) -> dict[str, Any]:
    """Return what the table shows, for msgspec to encode."""
    return {
        "id": str(letter.id),
        "topic": letter.id.topic,
        "partition": letter.id.partition,
        "offset": letter.id.offset,
        "time": letter.sent_at,
        "reason": letter.reason,
        "field": letter.field or None,
        "message": letter.message,
        "replay": state_of(replay),
        "replayed_at": replay.replayed_at if replay else None,
    }


def _replay_in_full(replay: Replay | None) -> str:
    if replay is None or replay.replayed_at is None:
        by = f", claimed by {replay.claimed_by} at {replay.claimed_at}" if replay else ""
        return state_of(replay) + by
    edited = replay.edited_key is not None or replay.edited_value is not None
    return f"replayed{' edited' if edited else ''} by {replay.claimed_by} at {replay.replayed_at}"


def printable(content: bytes | str) -> str:
    """Return what a sender wrote with its control codes escaped: terminals would obey them."""
    text = content if isinstance(content, str) else content.decode(errors="backslashreplace")
    return "".join(c if c.isprintable() or c in "\n\t" else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()
