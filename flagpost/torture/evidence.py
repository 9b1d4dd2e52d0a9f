"""What is found in the database and in the topics when all is over."""

from collections import defaultdict
from collections.abc import Mapping

import numpy as np
import psycopg
from psycopg.sql import SQL, Identifier

from flagpost.core.effects import Counts, LabelIdentity
from flagpost.core.history import Int64s
from flagpost.core.segment import Entries, LabelEntries, unpack
from flagpost.events import Partition
from flagpost.postgres.times import to_us
from flagpost.torture.checks import ScoredRow, Standing
from flagpost.torture.delivered import Delivered
from flagpost.torture.truth import Cell, Sums

_TOTALS = """
SELECT topic, partition, model_version, cell.hour, cell.fraud_reason, sum(cell.n)::bigint,
       sum(cell.cents)::bigint, sum(cell.millionths)::bigint
FROM feature.hourly_totals AS stored,
     unnest(stored.hour, stored.fraud_reason, stored.tx_count, stored.amount_cents,
            stored.fraud_probability_millionths) AS cell (hour, fraud_reason, n, cents, millionths)
GROUP BY 1, 2, 3, 4, 5
"""


def read_flagged(database_url: str) -> list[ScoredRow]:
    """Return the fraud table."""
    return _read_scores(database_url, "fraud_transactions")


def read_kept(database_url: str) -> list[ScoredRow]:
    """Return the scores of all transactions."""
    return _read_scores(database_url, "fraud_scores")


def _read_scores(database_url: str, table: str) -> list[ScoredRow]:
    query = SQL(
        "SELECT topic, partition, kafka_offset, transaction_id, fraud_probability, model_version"
        " FROM scores.{}"
    )
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(query.format(Identifier(table))).fetchall()
    return [ScoredRow(Partition(topic, number), *rest) for topic, number, *rest in rows]


def read_totals(database_url: str) -> dict[tuple[Partition, Cell], Sums]:
    """Return the totals, whenever they were counted."""
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(_TOTALS).fetchall()
    return {
        (Partition(topic, number), Cell(version, hour, reason)): Sums(*sums)
        for topic, number, version, hour, reason, *sums in rows
    }


def read_spread(database_url: str) -> dict[tuple[Partition, str], list[int]]:
    """Return by model version what was counted in each bin, in whatever hour."""
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT topic, partition, model_version, counts FROM feature.hourly_spread"
        ).fetchall()
    counted = defaultdict[tuple[Partition, str], list[list[int]]](list)
    for topic, number, version, counts in rows:
        counted[Partition(topic, number), version].append(counts)
    return {
        place: [sum(each) for each in zip(*hours, strict=True)] for place, hours in counted.items()
    }


def read_positions(database_url: str) -> list[Standing]:
    """Return where the partitions are."""
    return _read_standings(database_url, "positions")


def read_checkpoints(database_url: str) -> list[Standing]:
    """Return where one could rewind to."""
    return _read_standings(database_url, "checkpoints")


def _read_standings(database_url: str, table: str) -> list[Standing]:
    query = SQL(
        "SELECT topic, partition, next_offset, event_time,"
        " n_in, n_clean, n_flagged, n_duplicate, n_dead FROM stream.{}"
    )
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(query.format(Identifier(table))).fetchall()
    return [
        Standing(Partition(topic, number), end, None if at is None else to_us(at), Counts(*counts))
        for topic, number, end, at, *counts in rows
    ]


def read_labels(database_url: str) -> dict[tuple[Partition, int], LabelIdentity]:
    """Return the labels, by the messages that told them."""
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT topic, partition, kafka_offset, transaction_id, known_at, is_fraud"
            " FROM label.fraud_labels"
        ).fetchall()
    return {
        (Partition(topic, number), offset): (name, to_us(known_at), is_fraud)
        for topic, number, offset, name, known_at, is_fraud in rows
    }


def read_journal(database_url: str) -> dict[Partition, Int64s]:
    """Return what the journal has of each partition, in the order of its segments.

    The columns are those of `truth.transaction_rows` and `truth.label_rows`.
    """
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT topic, partition, columns FROM stream.journal ORDER BY 1, 2, start_offset"
        ).fetchall()
    found = dict[Partition, list[Int64s]]()
    for topic, number, columns in rows:
        found.setdefault(Partition(topic, number), []).append(_identities(unpack(columns)))
    return {partition: np.concatenate(parts) for partition, parts in found.items()}


def _identities(entries: Entries | LabelEntries) -> Int64s:
    if isinstance(entries, Entries):
        return np.column_stack(
            [entries.transaction_key, entries.user_key, entries.event_time_us, entries.amount_cents]
        )
    return np.column_stack([entries.transaction_key, entries.known_at_us, entries.is_fraud])


def buried(letters: Delivered) -> list[tuple[Partition, int]]:
    """Return from where each dead letter came."""
    headers = [dict(message.headers() or []) for message in letters.messages]
    return [
        (
            Partition(_text(each, "topic"), int(_text(each, "partition"))),
            int(_text(each, "offset")),
        )
        for each in headers
    ]


def _text(headers: Mapping[str, str | bytes | None], name: str) -> str:
    text = headers[f"__connect.errors.{name}"]
    return text.decode() if isinstance(text, bytes) else str(text)


def header_texts(letters: Delivered) -> str:
    """Return all that the headers of dead letters say, to look for secrets in it."""
    return repr([message.headers() for message in letters.messages])
