"""When a row became visible: the moment another connection saw its transaction as over.

A commit's own timestamp (`track_commit_timestamp`) is taken before its log is on disk, and nobody
sees the row before that. So another connection asks again and again which transactions are over,
which touches no table, and the rows tell later which of them wrote them.
"""

import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import NamedTuple

import numpy as np
import psycopg

LOOK_SECONDS = 0.001
"""How long the observer rests between two looks: what it sees is about so much too late at most."""


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


@dataclass
class Observer:
    """Looks on in a thread of its own; a snapshot that is like the one before is left out."""

    database_url: str = field(repr=False)
    snapshots: list[Snapshot] = field(default_factory=list)
    over: Event = field(default_factory=Event)

    def look_on(self) -> None:
        """Look until it is over. Blocks."""
        before = ""
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            while not self.over.wait(LOOK_SECONDS):
                [(text,)] = connection.execute("SELECT pg_current_snapshot()::text").fetchall()
                if text != before:
                    self.snapshots.append(parse_snapshot(text, time.monotonic_ns()))
                    before = text


@contextmanager
def observing(database_url: str) -> Iterator[list[Snapshot]]:
    """Look on until the context is left; the list fills meanwhile."""
    observer = Observer(database_url)
    thread = Thread(target=observer.look_on)
    thread.start()
    try:
        yield observer.snapshots
    finally:
        observer.over.set()
        thread.join()


def writers_of_flagged(database_url: str) -> dict[str, int]:
    """Return by its id which transaction wrote each flagged row."""
    query = "SELECT transaction_id, xmin::text::bigint FROM scores.fraud_transactions"
    with psycopg.connect(database_url) as connection:
        return dict(connection.execute(query).fetchall())
