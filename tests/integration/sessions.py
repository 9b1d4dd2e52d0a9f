"""The sessions of a database, as another session sees them."""

import time
from collections.abc import Callable

import pytest
from sqlalchemy import Engine, event, text


def wait_until_blocked(watcher: Engine) -> int:
    """Wait until a session of this database waits for a lock, and return its pid."""
    query = text(
        "SELECT pid FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with watcher.connect() as connection:
            pid = connection.scalar(query)
        if pid is not None:
            return int(pid)
        time.sleep(0.005)
    pytest.fail("no session waits for a lock")


def end_other_sessions(watcher: Engine) -> None:
    """End every session of this database but our own, and wait until they have ended."""
    query = text(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    with watcher.connect() as connection:
        connection.execute(query)


def before_statement(engine: Engine, words: str, do: Callable[[], object]) -> None:
    """Do something whenever this engine is about to execute a statement with these words."""

    @event.listens_for(engine, "before_cursor_execute")
    def before_each(*arguments: object) -> None:
        if words in str(arguments[2]):
            do()
