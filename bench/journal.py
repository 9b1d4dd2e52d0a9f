"""What the journal takes: bytes an event, rows and bytes a day, before merging and after."""

from collections.abc import Callable
from typing import NamedTuple

from bench.latency import FLAT_OUT, UNLIMITED, Stream, watch
from bench.merging import JournalSize, Merged, merge_all, size_of
from bench.parts import Bench, OnProgress, in_turns
from bench.results import Figure, Row, Section, Table
from flagpost.settings import KafkaClient

CLIENT: KafkaClient = "confluent"
SECONDS = {50: 90, 2_000: 10}
"""How long each rate lasts: at the lower one it takes 40 seconds until a first row is merged."""
DAY_SECONDS = 86_400
UNMERGED = ("-m", "bench.programs.unmerged")

HOW = (
    "The load of the latency, with confluent-kafka. A batch writes a row for each partition that "
    "it has messages of; at a low rate a batch is a message or two. The worker leaves them as they "
    "are here, and then the same merging that a worker does beside its work is done at once: so "
    "many small rows in a row become one. What is left over of the last ones stays small. Bytes on "
    "disk are those of the table with its indexes, after merging without the room of deleted "
    "rows, which later ones fill."
)


class Written(NamedTuple):
    """What a stream of so many payments left in the journal."""

    payments: int
    size: JournalSize
    merged: Merged


def measure_journal(bench: Bench, on_progress: OnProgress) -> Section:
    """Let a worker write the journal of streams at several rates, and merge it."""
    part = 0.2 if bench.is_quick else 1.0
    streams = [
        Stream(f"{rate:,}/s", int(part * rate * seconds), rate, 0)
        for rate, seconds in SECONDS.items()
    ]
    streams.append(Stream(FLAT_OUT, int(part * 200_000), UNLIMITED, 0))
    found: dict[Stream, list[Written]] = {}
    for stream in in_turns(bench.repeats, streams, on_progress):
        settings = watch(bench.stack, CLIENT, stream, UNMERGED).settings
        written = Written(stream.n_payments, size_of(settings), merge_all(settings))
        found.setdefault(stream, []).append(written)
    return section_of(found)


def section_of(found: dict[Stream, list[Written]]) -> Section:
    """Arrange what was found, a column for each stream; what is flat out has no day."""

    def line(name: str, figure: Callable[[Written], float], digits: int = 0) -> Row:
        return Row(name, [Figure.of(list(map(figure, runs))) for runs in found.values()], digits)

    def line_of_a_day(name: str, of_a_payment: Callable[[Written], float], digits: int) -> Row:
        days = [None if stream.rate == UNLIMITED else stream.rate * DAY_SECONDS for stream in found]
        each = [Figure.of(list(map(of_a_payment, runs))).median for runs in found.values()]
        cells = [n and n * x for n, x in zip(days, each, strict=True)]
        return Row(name, list(cells), digits)

    def lines(when: str, size: Callable[[Written], JournalSize]) -> list[Row]:
        def rows(w: Written) -> float:
            return size(w).rows / w.payments

        def disk_bytes(w: Written) -> float:
            return size(w).disk_bytes / w.payments

        return [
            line(f"rows per 1,000 payments{when}", lambda w: 1_000 * rows(w), 1),
            line(f"packed bytes per payment{when}", lambda w: size(w).packed_bytes / w.payments),
            line(f"bytes on disk per payment{when}", disk_bytes),
            line_of_a_day(f"million rows a day{when}", lambda w: 1e-6 * rows(w), 2),
            line_of_a_day(f"GB on disk a day{when}", lambda w: 1e-9 * disk_bytes(w), 2),
        ]

    rows = [
        *lines("", lambda w: w.size),
        line("fold, us per payment", lambda w: 1e6 * w.merged.fold_seconds / w.payments, 2),
        line("merging, us per payment", lambda w: 1e6 * w.merged.seconds / w.payments, 1),
        *lines(", merged", lambda w: w.merged.size),
        line("merged, fold, us", lambda w: 1e6 * w.merged.fold_merged_seconds / w.payments, 2),
    ]
    columns = [stream.name for stream in found]
    return Section("journal", "Journal", HOW, [Table("Rows and bytes", columns, rows)])
