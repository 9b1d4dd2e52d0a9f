"""What is found in the database and in the topics when all is over."""

from array import array
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, cast

import numpy as np
import psycopg
from psycopg.sql import SQL, Identifier

from flagpost.core.effects import Counts
from flagpost.core.history import Int64s
from flagpost.core.segment import Entries, LabelEntries, unpack
from flagpost.events import Partition
from flagpost.postgres.times import to_us
from flagpost.torture.delivered import Delivered
from flagpost.torture.invariants.journal import SegmentRow
from flagpost.torture.invariants.positions import Standing
from flagpost.torture.invariants.violations import Place
from flagpost.torture.truth import Cell, FlaggedRow, KeptRow, LabelRow, Letter, Sums

ScoredRow = TypeVar("ScoredRow", FlaggedRow, KeptRow)

_TOTALS = """
SELECT topic, partition, model_version, cell.hour, cell.fraud_reason, sum(cell.n)::bigint,
       sum(cell.cents)::bigint, sum(cell.millionths)::bigint
FROM feature.hourly_totals AS stored,
     unnest(stored.hour, stored.fraud_reason, stored.tx_count, stored.amount_cents,
            stored.fraud_probability_millionths) AS cell (hour, fraud_reason, n, cents, millionths)
GROUP BY 1, 2, 3, 4, 5
"""


def read_flagged(database_url: str) -> list[tuple[Place, FlaggedRow]]:
    """Return the fraud table."""
    rows = _read_rows(database_url, Identifier("scores", "fraud_transactions"), FlaggedRow._fields)
    return [(place, _packed(FlaggedRow(*values))) for place, values in rows]


def read_kept(database_url: str) -> list[tuple[Place, KeptRow]]:
    """Return the scores of all transactions."""
    rows = _read_rows(database_url, Identifier("scores", "fraud_scores"), KeptRow._fields)
    return [(place, _packed(KeptRow(*values))) for place, values in rows]


def read_labels(database_url: str) -> list[tuple[Place, LabelRow]]:
    """Return the labels, by the messages that told them."""
    rows = _read_rows(database_url, Identifier("label", "fraud_labels"), LabelRow._fields)
    return [(place, LabelRow(*values)) for place, values in rows]


def _read_rows(
    database_url: str, table: Identifier, columns: tuple[str, ...]
) -> Iterator[tuple[Place, list[Any]]]:
    query = SQL("SELECT topic, partition, kafka_offset, {} FROM {}").format(
        SQL(", ").join(map(Identifier, columns)), table
    )
    with psycopg.connect(database_url) as connection:
        for topic, number, offset, *values in connection.execute(query):
            yield (Partition(topic, number), offset), values


def _packed(row: ScoredRow) -> ScoredRow:
    """Keep the features as the bytes of their doubles: as numbers they take four times as much."""
    return row._replace(features=array("d", cast("list[float]", row.features)).tobytes())


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


def read_openings(database_url: str) -> dict[Place, int | None]:
    """Return by the position of each checkpoint which stream time came next."""
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT topic, partition, next_offset, next_event_time FROM stream.checkpoints"
        ).fetchall()
    return {
        (Partition(topic, number), offset): None if at is None else to_us(at)
        for topic, number, offset, at in rows
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


def read_segments(database_url: str) -> list[SegmentRow]:
    """Return what the rows of the journal say of themselves; those of a partition in order."""
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT topic, partition, start_offset, end_offset, substring(columns, 5, 4)"
            " FROM stream.journal ORDER BY 1, 2, start_offset"
        ).fetchall()
    return [
        SegmentRow(Partition(topic, number), start, end, int.from_bytes(n_entries, "little"))
        for topic, number, start, end, n_entries in rows
    ]


def _identities(entries: Entries | LabelEntries) -> Int64s:
    if isinstance(entries, Entries):
        return np.column_stack(
            [entries.transaction_key, entries.user_key, entries.event_time_us, entries.amount_cents]
        )
    return np.column_stack([entries.transaction_key, entries.known_at_us, entries.is_fraud])


def buried(letters: Delivered) -> list[tuple[Place, Letter]]:
    """Return each dead letter, by where it came from."""
    found = list[tuple[Place, Letter]]()
    for message in letters.messages:
        headers = dict(message.headers() or [])
        partition = Partition(
            _text(headers, "__connect.errors.topic"),
            int(_text(headers, "__connect.errors.partition")),
        )
        letter = Letter(
            message.key(),
            message.value(),
            _text(headers, "flagpost.reason"),
            _text(headers, "flagpost.field"),
            _text(headers, "__connect.errors.exception.message"),
        )
        found.append(((partition, int(_text(headers, "__connect.errors.offset"))), letter))
    return found


def _text(headers: Mapping[str, str | bytes | None], name: str) -> str:
    text = headers.get(name)
    return text.decode() if isinstance(text, bytes) else str(text)


def header_texts(letters: Delivered) -> str:
    """Return all that the headers of dead letters say, to look for secrets in it."""
    return repr([message.headers() for message in letters.messages])
