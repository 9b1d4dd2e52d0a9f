"""What is found in the database and in the topics when all is over."""

from collections.abc import Mapping

import numpy as np
import psycopg
from psycopg.sql import SQL, Identifier

from flagpost.core.effects import LabelIdentity
from flagpost.core.history import Int64s
from flagpost.core.segment import Entries, LabelEntries, unpack
from flagpost.events import Partition
from flagpost.postgres.times import to_us
from flagpost.torture.checks import ScoredRow
from flagpost.torture.delivered import Delivered


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
