"""The report as tables: for the terminal and as Markdown."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rich.table import Table

from bench.results import (
    PEAK_MEMORY_GOAL_BYTES,
    RATIO_GOALS,
    Conditions,
    Report,
    Result,
    Spread,
)


class Sheet(NamedTuple):
    """A table that can be shown in more than one way; the first column is text."""

    title: str
    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def sheets(report: Report) -> list[Sheet]:
    """Arrange a report in tables."""
    return [_clients(report.results), _goals(report.results), _steps(report.steps_us_per_event)]


def to_rich(sheet: Sheet) -> Table:
    """Show a table in a terminal."""
    table = Table(title=sheet.title, title_justify="left")
    for name in sheet.header:
        table.add_column(name, justify="right" if table.columns else "left")
    for row in sheet.rows:
        table.add_row(*row)
    return table


def to_markdown(report: Report) -> str:
    """Write the whole report, conditions first."""
    tables = "\n\n".join(map(_markdown_table, sheets(report)))
    return f"# Benchmark\n\n{describe(report.conditions)}\n\n{tables}\n"


def describe(found: Conditions) -> str:
    """Say in a paragraph what was measured, and on what."""
    versions = ", ".join(f"{name} {version}" for name, version in found.versions.items())
    return (
        f"{found.events:,} transactions and {found.labels:,} labels of {found.mean_bytes:.0f} "
        f"bytes in {found.partitions} partitions each, {found.batch_messages:,} messages a poll; "
        f"medians of {found.repeats} runs and their range. {found.cores} cores and "
        f"{found.memory_bytes / 1e9:.0f} GB of memory for broker, database and consumer together. "
        f"{versions}."
    )


def _markdown_table(sheet: Sheet) -> str:
    rule = ("---", *("---:" for _ in sheet.header[1:]))
    lines = (f"| {' | '.join(cells)} |" for cells in (sheet.header, rule, *sheet.rows))
    return f"**{sheet.title}**\n\n" + "\n".join(lines)


def _clients(results: Iterable[Result]) -> Sheet:
    columns = [_client_column(result) for result in results]
    labels = (
        "drain, client's defaults",
        "raw drain, fetching as Flagpost",
        "the same, garbage collector off",
        "end to end",
        "end to end / client's defaults",
        "end to end / raw drain",
        "whole process, s",
        "its CPU, s per million events",
        "its peak memory, MB",
        "flagged transactions",
    )
    rows = [(label, *cells) for label, *cells in zip(labels, *columns, strict=True)]
    return Sheet(
        "Clients (rates in thousand events/s)", ("", *(result.client for result in results)), rows
    )


def _client_column(result: Result) -> tuple[str, ...]:
    return (
        _spread(result.default_drain, scale=1e-3),
        _spread(result.raw_drain, scale=1e-3),
        _spread(result.calm_drain, scale=1e-3),
        _spread(result.end_to_end, scale=1e-3),
        f"{result.end_to_end.median / result.default_drain.median:.2f}",
        f"{result.ratio:.2f}",
        _spread(result.wall_seconds, 1),
        _spread(result.cpu_seconds_per_million, 1),
        _spread(result.peak_memory_bytes, scale=1e-6),
        f"{result.flagged:,}",
    )


def _spread(spread: Spread, digits: int = 0, scale: float = 1) -> str:
    median, least, most = (
        f"{scale * value:,.{digits}f}" for value in (spread.median, spread.least, spread.most)
    )
    return f"{median} ({least} - {most})"


def _goals(results: Iterable[Result]) -> Sheet:
    rows = []
    for result in results:
        ratio, peak_mb = f"{result.ratio:.2f}", f"{result.peak_memory_bytes.most / 1e6:.0f} MB"
        ratio_goal, memory_goal = RATIO_GOALS[result.client], PEAK_MEMORY_GOAL_BYTES / 1e6
        rows += [
            (f"{result.client}: ratio", f">= {ratio_goal}", ratio, _verdict(result.reaches_ratio)),
            (
                f"{result.client}: peak memory",
                f"< {memory_goal:.0f} MB",
                peak_mb,
                _verdict(result.reaches_memory),
            ),
        ]
    return Sheet("Goals", ("", "goal", "found", ""), rows)


def _verdict(reached: bool) -> str:  # noqa: FBT001 - it is the value to be named
    return "reached" if reached else "missed"


def _steps(steps_us_per_event: dict[str, float]) -> Sheet:
    rows = [(step, f"{us:.2f}") for step, us in steps_us_per_event.items()]
    return Sheet("A batch without a Kafka client", ("step", "us per event"), rows)
