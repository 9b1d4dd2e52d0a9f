"""The report as a picture: how many events a second, and how late their rows are."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

from bench.latency import FAST, SLOW
from bench.peers.comparison import SPEED as PEERS_SPEED
from bench.results import Figure, Report, Table
from bench.throughput import END_TO_END, RAW_DRAIN

_RATES = ((RAW_DRAIN, "nothing but", "#b8c4ce"), (END_TO_END, "Flagpost,", "#1f5fa8"))
"""The row of a table, what is said of its columns, and the colour of its bars."""

_PEER_COLOUR = "#c08a3e"

_PERCENTILES = {"p50, ms": "o", "p99, ms": "s", "p99.9, ms": "^"}


def draw(report: Report, path: Path) -> None:
    """Draw the rates of all sections and the latencies at steady rates; blocks for a second."""
    tables = [table for section in report.sections for table in section.tables]
    # Text stays text, and the same numbers give the same file.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "flagpost", "font.size": 9}):
        canvas = Canvas(figsize=(10, 3.6), layout="constrained")
        rates, latencies = canvas.subplots(1, 2)
        draw_rates(rates, tables)
        draw_latencies(latencies, tables)
        canvas.savefig(path, metadata={"Date": None})


def figures_of(name: str, tables: Sequence[Table]) -> Iterator[tuple[str, str, Figure]]:
    """Find the figures of rows of this name: the title of the table, the column, the figure."""
    for table in tables:
        for row in table.rows:
            if row.name == name:
                for column, cell in zip(table.columns, row.cells, strict=True):
                    if isinstance(cell, Figure):
                        yield table.title, column, cell


def draw_rates(axes: Axes, tables: Sequence[Table]) -> None:
    """Draw a bar for each rate, its range as a line; the fastest is on top."""
    bars = [
        (figure, colour, f"{wording} {column}")
        for row, wording, colour in _RATES
        for _, column, figure in figures_of(row, tables)
    ]
    drawn = {name for _, _, name in bars}
    bars += [
        (row.cells[0], _PEER_COLOUR, row.name)
        for table in tables
        if table.title == PEERS_SPEED
        for row in table.rows
        if isinstance(row.cells[0], Figure) and row.name not in drawn
    ]
    bars.sort(key=lambda bar: bar[0].median)
    for place, (figure, colour, _) in enumerate(bars):
        reach = [[figure.median - figure.least], [figure.most - figure.median]]
        axes.barh(place, figure.median, color=colour, xerr=reach, ecolor="#333333", capsize=2)
        digits = 0 if figure.median >= 1 else 1
        axes.annotate(f" {figure.median:,.{digits}f}", (figure.most, place), va="center")
    axes.set_yticks(range(len(bars)), [name for _, _, name in bars])
    axes.set(title="Throughput", xlabel="thousand events/s")
    axes.margins(x=0.12)


def draw_latencies(axes: Axes, tables: Sequence[Table]) -> None:
    """Draw the percentiles of each steady rate and client, on a logarithmic scale."""
    names: list[str] = []
    for percentile, marker in _PERCENTILES.items():
        found = [
            (f"{title.rpartition(', ')[2]}\n{column}", figure)
            for title, column, figure in figures_of(percentile, tables)
            if column in {SLOW, FAST}
        ]
        names = [name for name, _ in found]
        medians = [figure.median for _, figure in found]
        reach = [
            [figure.median - figure.least for _, figure in found],
            [figure.most - figure.median for _, figure in found],
        ]
        axes.errorbar(
            range(len(found)), medians, reach, fmt=marker, capsize=3, label=percentile[:-4]
        )
    axes.set(title="From produced to visible", ylabel="ms", yscale="log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(ScalarFormatter())
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xticks(range(len(names)), names)
    axes.margins(x=0.15)
    axes.grid(axis="y", which="both", alpha=0.3)
    if names:
        axes.legend()
