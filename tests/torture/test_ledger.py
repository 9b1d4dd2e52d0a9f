"""The ledger misses nothing that changes in a position."""

import time
from datetime import timedelta

import psycopg

from flagpost.core.effects import Counts
from flagpost.torture.ledger import open_ledger, read_steps


def test_counts_that_change_without_a_move_are_a_step(database_url: str) -> None:
    open_ledger(database_url)
    with psycopg.connect(database_url) as connection:
        connection.execute(
            'INSERT INTO stream.positions (topic, partition, "group", epoch, next_offset)'
            " VALUES ('payments', 0, 'scorers', 1, 0)"
        )
    for change in (
        "UPDATE stream.positions SET next_offset = 2, n_in = 2, n_flagged = 2",
        "UPDATE stream.positions SET n_flagged = 1, n_duplicate = 1",
        "UPDATE stream.positions SET n_flagged = 0, n_dead = 1",
    ):
        with psycopg.connect(database_url) as connection:
            connection.execute(change)

    steps = read_steps(database_url)

    assert [(step.start_offset, step.next_offset) for step in steps] == [(0, 2), (2, 2), (2, 2)]
    assert [step.counts for step in steps] == [
        Counts(2, 0, 2, 0, 0),
        Counts(0, 0, -1, 1, 0),
        Counts(0, 0, -1, 0, 1),
    ]


def test_a_step_is_made_when_it_is_committed(database_url: str) -> None:
    open_ledger(database_url)
    pause = timedelta(seconds=0.2)
    with psycopg.connect(database_url) as connection:
        connection.execute(
            'INSERT INTO stream.positions (topic, partition, "group", epoch, next_offset)'
            " VALUES ('payments', 0, 'scorers', 1, 0)"
        )
        moved = connection.execute(
            "UPDATE stream.positions SET next_offset = 2, n_in = 2, n_clean = 2"
            " RETURNING clock_timestamp()"
        ).fetchone()
        time.sleep(pause.total_seconds())

    [step] = read_steps(database_url)

    assert moved is not None
    assert step.at >= moved[0] + pause
