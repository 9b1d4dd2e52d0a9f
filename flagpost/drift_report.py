"""The tables of `flagpost drift`."""

import math
from collections.abc import Sequence
from datetime import date
from enum import StrEnum

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from flagpost.postgres.drift import Counted, DailyDrift, Drift

STABLE_BELOW, DRIFTED_FROM = 0.1, 0.25
"""The usual rule of thumb for a population stability index (Siddiqi, Credit Risk Scorecards, 2006).
"""

CHANCE_AT_MOST = STABLE_BELOW / 2
"""When chance alone gives more than this, an index says nothing yet."""

_LEVELS = "▁▂▃▄▅▆▇█"
_AS_IN_TRAINING = _LEVELS.index("▄")


class Verdict(StrEnum):
    """What a population stability index means."""

    TOO_FEW = "too few"
    STABLE = "stable"
    SHIFTING = "shifting"
    DRIFTED = "drifted"


COLOURS = {
    Verdict.TOO_FEW: "dim",
    Verdict.STABLE: "green",
    Verdict.SHIFTING: "yellow",
    Verdict.DRIFTED: "red",
}


def by_chance(n_bins: int, n_sampled: int) -> float:
    """Return the index to expect of a sample that comes from the training data itself.

    The index is close to chi-squared / n there, and chi-squared is (bins - 1) on average.
    """
    return (n_bins - 1) / n_sampled


def verdict(psi: float, n_bins: int, n_sampled: int) -> Verdict:
    """Judge a population stability index."""
    if by_chance(n_bins, n_sampled) > CHANCE_AT_MOST:
        return Verdict.TOO_FEW
    if psi < STABLE_BELOW:
        return Verdict.STABLE
    return Verdict.SHIFTING if psi < DRIFTED_FROM else Verdict.DRIFTED


def sparkline(counts: Sequence[int], training_shares: Sequence[float]) -> str:
    """Draw a character for each bin: ▁ is empty, ▄ as in training, ▇ twice as much, █ more."""
    total = sum(counts)
    return "".join(
        _level(n / total, share) for n, share in zip(counts, training_shares, strict=True)
    )


def _level(share: float, training_share: float) -> str:
    if share == training_share:
        return _LEVELS[_AS_IN_TRAINING]
    ratio = share / training_share if training_share else math.inf
    return _LEVELS[round(min(ratio * _AS_IN_TRAINING, len(_LEVELS) - 1))]


def drift_table(counted: Counted, drifts: Sequence[Drift]) -> Table:
    """Show a row for each feature, in the given order."""
    table = _table(counted, "bins: ▁ empty, ▄ as in training, ▇ twice as much, █ more")
    table.add_column("feature", no_wrap=True)
    for name in ("sampled", "PSI", "by chance"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("bins", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for each in drifts:
        n_bins = len(each.counts)
        judged = verdict(each.psi, n_bins, each.n_sampled)
        table.add_row(
            escape(each.feature), f"{each.n_sampled:,}", f"{each.psi:.3f}",
            f"{by_chance(n_bins, each.n_sampled):.3f}",
            sparkline(each.counts, each.training_shares),
            _coloured(judged, judged),
        )  # fmt: skip
    return table


def daily_table(counted: Counted, drifts: Sequence[DailyDrift]) -> Table:
    """Show a row for each feature, the worst day's first, and its index on each day."""
    days = sorted({each.day for each in drifts})
    by_feature: dict[str, dict[date, DailyDrift]] = {}
    for each in drifts:
        by_feature.setdefault(each.feature, {})[each.day] = each
    table = _table(counted, "-: too few transactions to tell")
    table.add_column("PSI", no_wrap=True)
    for day in days:
        table.add_column(f"{day:%m-%d}", justify="right", no_wrap=True)
    for feature, daily in sorted(by_feature.items(), key=_worst_first):
        cells = (_daily_cell(daily[day]) if day in daily else "" for day in days)
        table.add_row(escape(feature), *cells)
    return table


def _worst_first(item: tuple[str, dict[date, DailyDrift]]) -> float:
    return -max((each.psi for each in item[1].values() if _tells(each)), default=0.0)


def _tells(each: DailyDrift) -> bool:
    return by_chance(each.n_bins, each.n_sampled) <= CHANCE_AT_MOST


def _daily_cell(each: DailyDrift) -> str:
    judged = verdict(each.psi, each.n_bins, each.n_sampled)
    return _coloured(judged, f"{each.psi:.2f}" if _tells(each) else "-")


def _coloured(judged: Verdict, text: str) -> str:
    return f"[{COLOURS[judged]}]{text}[/]"


def _table(counted: Counted, caption: str) -> Table:
    title = (
        f"{counted.topic} from {counted.first_day} to {counted.last_day}\n"
        f"against the training data of model {counted.model_version}"
    )
    return Table(
        title=escape(title), caption=caption, title_justify="left", caption_justify="left",
        box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True,
    )  # fmt: skip
