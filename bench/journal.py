"""What the journal takes: bytes an event, rows and bytes a day, and what merging would save."""

from collections.abc import Callable
from typing import NamedTuple

import psycopg

from bench.latency import FLAT_OUT, UNLIMITED, Stream, watch
from bench.merging import Merged, try_merging
from bench.parts import Bench, OnProgress, in_turns
from bench.results import Figure, Row, Section, Table
from flagpost.settings import KafkaClient, Settings

CLIENT: KafkaClient = "confluent"
RATES = (50, 2_000)
DAY_SECONDS = 86_400

HOW = (
    "The load of the latency, with confluent-kafka. A batch writes a row for each partition that "
    "it has messages of; at a low rate a batch is a message or two. Bytes on disk are those of "
    "the table with its indexes. Merging reads all rows of a partition, packs their transactions "
    "into one segment and puts it in their place, in one transaction, which is rolled back here: "
    "it is an experiment, nothing in the project does it."
)

_WEIGH = """
    SELECT count(*), sum(length(columns)), pg_total_relation_size('stream.journal')
      FROM stream.journal
"""


class Written(NamedTuple):
    """What a stream of so many payments left in the journal."""

    payments: int
    rows: int
    packed_bytes: int
    disk_bytes: int
    merged: Merged


def measure_journal(bench: Bench, on_progress: OnProgress) -> Section:
    """Let a worker write the journal of streams at several rates, and try to merge it."""
    seconds = 2 if bench.is_quick else 10
    streams = [Stream(f"{rate:,}/s", rate * seconds, rate, 0) for rate in RATES]
    streams.append(Stream(FLAT_OUT, 20_000 * seconds, UNLIMITED, 0))
    found: dict[Stream, list[Written]] = {}
    for stream in in_turns(bench.repeats, streams, on_progress):
        settings = watch(bench.stack, CLIENT, stream).settings
        found.setdefault(stream, []).append(_weigh(settings, stream.n_payments))
    return section_of(found)


def _weigh(settings: Settings, payments: int) -> Written:
    with psycopg.connect(settings.database_url.get_secret_value()) as database:
        [(rows, packed_bytes, disk_bytes)] = database.execute(_WEIGH).fetchall()
    return Written(payments, int(rows), int(packed_bytes), int(disk_bytes), try_merging(settings))


def section_of(found: dict[Stream, list[Written]]) -> Section:
    """Arrange what was found, a column for each stream; what is flat out has no day."""

    def line(name: str, figure: Callable[[Written], float], digits: int = 0) -> Row:
        return Row(name, [Figure.of(list(map(figure, runs))) for runs in found.values()], digits)

    def line_of_a_day(name: str, of_a_payment: Callable[[Written], float], digits: int) -> Row:
        days = [None if stream.rate == UNLIMITED else stream.rate * DAY_SECONDS for stream in found]
        each = [Figure.of(list(map(of_a_payment, runs))).median for runs in found.values()]
        cells = [n and n * x for n, x in zip(days, each, strict=True)]
        return Row(name, list(cells), digits)

    rows = [
        line("rows per 1,000 payments", lambda w: 1_000 * w.rows / w.payments),
        line("packed bytes per payment", lambda w: w.packed_bytes / w.payments),
        line("bytes on disk per payment", lambda w: w.disk_bytes / w.payments),
        line_of_a_day("million rows a day", lambda w: 1e-6 * w.rows / w.payments, 2),
        line_of_a_day("GB on disk a day", lambda w: 1e-9 * w.disk_bytes / w.payments, 2),
        line("fold, us per payment", lambda w: 1e6 * w.merged.fold_seconds / w.payments, 2),
        line("merging, us per payment", lambda w: 1e6 * w.merged.seconds / w.payments, 1),
        line("merged, packed bytes per payment", lambda w: w.merged.packed_bytes / w.payments),
        line("merged, fold, us", lambda w: 1e6 * w.merged.fold_merged_seconds / w.payments, 2),
    ]
    columns = [stream.name for stream in found]
    return Section("journal", "Journal", HOW, [Table("Rows and bytes", columns, rows)])
