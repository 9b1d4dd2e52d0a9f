"""When a row became visible: the moment another connection saw its transaction as over.

A commit's own timestamp (`track_commit_timestamp`) is taken before its log is on disk, and nobody
sees the row before that. So another connection asks again and again which transactions are over,
which touches no table, and the rows tell later which of them wrote them. It asks inside the server,
which tells only what is new: an observer that did it from outside would take a tenth of a core from
what it measures.
"""

import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import Event, Thread
from typing import NamedTuple

import numpy as np
import psycopg
from psycopg.errors import Diagnostic

LOOK_SECONDS = 0.001
"""How long the observer rests between two looks. On average it sees things half of it too late,
and more where the processor is not its own at once."""

ASKED_SECONDS = LOOK_SECONDS / 2
"""PostgreSQL rests for whole milliseconds, rounded up. Asked for one, it would rest for two: its
clock's floating-point seconds make a hair more of it."""

START_SECONDS = 10
"""The first snapshot is new, and so it comes at once."""

# Each look is a transaction of its own: one that lasted would keep dead rows from being removed.
_LOOK_ON = f"""
DO $$
DECLARE
    before text := '';
    found text;
BEGIN
    LOOP
        PERFORM pg_sleep({ASKED_SECONDS});
        COMMIT;
        found := pg_current_snapshot()::text;
        IF found <> before THEN
            RAISE NOTICE '% %', (1e6 * extract(epoch FROM clock_timestamp()))::bigint, found;
            before := found;
        END IF;
    END LOOP;
END $$
"""


class Snapshot(NamedTuple):
    """What a connection saw: all transactions below `next_id` are over but for `under_way`.

    `at_ns` is the time of `time.monotonic_ns`, which all processes of a machine share.
    """

    at_ns: int
    next_id: int
    under_way: frozenset[int]


def parse_snapshot(text: str, at_ns: int) -> Snapshot:
    """Read PostgreSQL's `xmin:xmax:xip,xip`."""
    _, next_id, under_way = text.split(":")
    return Snapshot(at_ns, int(next_id), frozenset(map(int, filter(None, under_way.split(",")))))


def first_seen_ns(transactions: Collection[int], snapshots: Sequence[Snapshot]) -> dict[int, int]:
    """Return when each transaction was seen to be over for the first time.

    Raises:
        IndexError: one never was.
    """
    next_ids = np.array([snapshot.next_id for snapshot in snapshots])
    seen = {}
    for transaction in transactions:
        place = int(np.searchsorted(next_ids, transaction, "right"))
        while transaction in snapshots[place].under_way:
            place += 1
        seen[transaction] = snapshots[place].at_ns
    return seen


def begun_between(snapshots: Sequence[Snapshot], from_ns: int, until_ns: int) -> int:
    """Count the writing transactions that began between two moments."""
    inside = [each.next_id for each in snapshots if from_ns <= each.at_ns < until_ns]
    return inside[-1] - inside[0] if inside else 0


@contextmanager
def observing(database_url: str) -> Iterator[list[Snapshot]]:
    """Look on until the context is left; the list fills meanwhile."""
    snapshots, is_looking = list[Snapshot](), Event()
    ahead_ns = _monotonic_ahead_ns()

    def note(notice: Diagnostic) -> None:
        at_us, text = (notice.message_primary or "").split()
        snapshots.append(parse_snapshot(text, 1_000 * int(at_us) + ahead_ns))
        is_looking.set()

    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("SET statement_timeout = 0")
        connection.add_notice_handler(note)
        thread = Thread(target=_look_on, args=[connection])
        thread.start()
        try:
            assert is_looking.wait(START_SECONDS), "the observer sees nothing"
            yield snapshots
        finally:
            connection.cancel_safe()
            thread.join()


def _look_on(connection: psycopg.Connection) -> None:
    with suppress(psycopg.errors.QueryCanceled):
        connection.execute(_LOOK_ON)


def _monotonic_ahead_ns() -> int:
    """Return how far `time.monotonic_ns` is ahead of the clock that PostgreSQL reads.

    Both are corrected at the same pace. Of many tries the one that was interrupted least is taken.
    """

    def look(_: int) -> tuple[int, int]:
        before_ns, now_ns, after_ns = time.monotonic_ns(), time.time_ns(), time.monotonic_ns()
        return after_ns - before_ns, after_ns - now_ns

    return min(map(look, range(100)))[1]


def writers_of_flagged(database_url: str) -> dict[str, int]:
    """Return by its id which transaction wrote each flagged row."""
    query = "SELECT transaction_id, xmin::text::bigint FROM scores.fraud_transactions"
    with psycopg.connect(database_url) as connection:
        return dict(connection.execute(query).fetchall())
