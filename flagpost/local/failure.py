"""The error for a server that does not come up: what happened, and the end of its own log."""

from collections import deque
from pathlib import Path

from flagpost.errors import StackFailed

TAIL_LINES = 20


def failed(server: str, what: str, log: Path) -> StackFailed:
    """Build the error; the end of the log goes along as a note, below the one-line message."""
    error = StackFailed(f"{server} {what}; its log is {log}")
    error.add_note(tail(log))
    return error


def tail(log: Path) -> str:
    """Read the last lines of a log; a missing log has none."""
    if not log.exists():
        return ""
    with log.open(encoding="utf-8", errors="replace") as lines:
        return "".join(deque(lines, maxlen=TAIL_LINES)).rstrip()
