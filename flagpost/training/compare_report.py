"""A comparison for the terminal, as Markdown and as a picture."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from flagpost.training.compare import Comparison, Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes

METRICS = ("AUC", "AP", "CP@100", "precision", "recall")
HEADINGS = ("model", *METRICS, "training", "scoring")
_PLOTTED = METRICS[:3]


def headline(comparison: Comparison) -> str:
    """Say what was compared."""
    weeks = "1 week" if comparison.n_weeks == 1 else f"{comparison.n_weeks} weeks"
    return (
        f"{comparison.name}: trained on {comparison.n_trained:,} transactions with "
        f"{comparison.n_trained_frauds:,} frauds, tested on {comparison.n_tested:,} with "
        f"{comparison.n_tested_frauds:,} in {weeks}"
    )


def cells(comparison: Comparison) -> list[tuple[str, ...]]:
    """Return a row for each model: mean ± standard deviation between weeks, then the times."""
    return [
        (
            _name(result, comparison.n_trained),
            *(f"{result.mean(name):.3f} ± {result.deviation(name):.3f}" for name in METRICS),
            "" if result.training_seconds is None else f"{result.training_seconds:.1f} s",
            f"{result.scoring_us:.2f} µs",
        )
        for result in comparison.results
    ]


def _name(result: Result, n_trained: int) -> str:
    if result.n_fitted is None or result.n_fitted == n_trained:
        return result.model
    return f"{result.model} (on {result.n_fitted:,} rows)"


def terminal_table(comparison: Comparison) -> Table:
    """Return the table to print; its caption says what was compared."""
    table = Table(*HEADINGS, caption=headline(comparison), caption_justify="left")
    table.columns[0].no_wrap = True
    for column in table.columns[1:]:
        column.justify = "right"
    for row in cells(comparison):
        table.add_row(*row)
    return table


def markdown(comparisons: Iterable[Comparison], flags_per_thousand: float) -> str:
    """Return the tables of all comparisons as Markdown."""
    rule = "|" + "---|" * len(HEADINGS)
    lines = ["# Comparison of models", ""]
    for comparison in comparisons:
        rows = [_markdown_row(row) for row in cells(comparison)]
        lines += [f"{headline(comparison)}.", "", _markdown_row(HEADINGS), rule, *rows, ""]
    lines.append(
        "Mean ± standard deviation between the test weeks. Precision and recall when the highest "
        f"{flags_per_thousand:g} of 1,000 transactions are flagged each week. Training and scoring "
        "(a transaction) without the features.\n"
    )
    return "\n".join(lines)


def _markdown_row(row: Iterable[str]) -> str:
    return f"| {' | '.join(row)} |"


def plot(comparisons: Sequence[Comparison], path: Path) -> None:
    """Draw mean and deviation of the ranking metrics, a row for each comparison; write a PNG."""
    from matplotlib.figure import Figure  # noqa: PLC0415  (half a second that no other verb needs)

    most = max(len(comparison.results) for comparison in comparisons)
    size_inches = 12, len(comparisons) * (1.2 + 0.4 * most)
    figure = Figure(figsize=size_inches, layout="constrained")
    axes = figure.subplots(len(comparisons), len(_PLOTTED), squeeze=False, sharey="row")
    for row, comparison in zip(axes, comparisons, strict=True):
        for ax, metric in zip(row, _PLOTTED, strict=True):
            _draw_means(ax, comparison.results, metric)
        row[0].set_ylabel(comparison.name)
        row[0].invert_yaxis()  # the first model on top; the row shares it
    figure.savefig(path, dpi=150)


def _draw_means(ax: "Axes", results: Sequence[Result], metric: str) -> None:
    models = [result.model for result in results]
    means = [result.mean(metric) for result in results]
    deviations = [result.deviation(metric) for result in results]
    ax.errorbar(means, models, xerr=deviations, fmt="o", capsize=3)
    ax.margins(y=0.2)
    ax.grid(axis="x", alpha=0.4)
    ax.set_title(metric)
