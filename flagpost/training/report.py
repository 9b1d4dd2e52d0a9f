"""What the model commands print."""

import os
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from flagpost.core.features import FEATURES
from flagpost.core.scorer import Floats
from flagpost.errors import BadConfiguration
from flagpost.model import FraudModel

BAR_LOG_ODDS = 0.25
"""Log-odds that one character of a bar stands for."""


def numbers_table(title: str, numbers: dict[str, float]) -> Table:
    """Return a table of names and numbers: counts whole, the rest to four digits."""
    table = Table("", "", title=escape(title), show_header=False, title_justify="left")
    for name, number in numbers.items():
        table.add_row(name, f"{number:,}" if isinstance(number, int) else f"{number:.4f}")
    return table


def calibration_table(bins: list[dict[str, float]]) -> Table:
    """Return what was predicted and what happened, a row for each range of probability."""
    table = Table(
        "fraud probability", "transactions", "predicted", "observed",
        title="calibration on the test days", title_justify="left",
    )  # fmt: skip
    for each in bins:
        table.add_row(
            f"{each['from']:g} to {each['to']:g}", f"{each['transactions']:,}",
            f"{each['predicted']:.4f}", f"{each['observed']:.4f}",
        )  # fmt: skip
    return table


def terms_table(model: FraudModel, title: str, row: Floats) -> Table:
    """Return what each feature adds to the log-odds of one transaction, the strongest first.

    Args:
        model: fitted.
        title: of the table.
        row: features of the transaction, shape (1, len(FEATURES)).
    """
    scorer, terms = model.scorer, model.scorer.terms(row)[0]
    table = Table("feature", "value", "log-odds", "", title=escape(title), title_justify="left")
    for term in (-abs(terms)).argsort(kind="stable"):
        column = int(scorer.columns[term])
        table.add_row(
            FEATURES[column].name, f"{row[0, column]:,.2f}", f"{terms[term]:+.3f}",
            _bar(terms[term]), style="" if abs(terms[term]) >= 0.005 else "dim",
        )  # fmt: skip
    table.add_section()
    table.add_row("an average transaction", "", f"{scorer.intercept:+.3f}", "")
    table.add_row("sum", "", f"{terms.sum() + scorer.intercept:+.3f}", "")
    probability = model.predict_proba(row)[0, 1]
    table.add_row("fraud probability", f"{probability:.2%}", "", "")
    table.add_row("flagged from", f"{model.threshold:.2%}", "", "")
    return table


def _bar(log_odds: float) -> str:
    length = min(round(abs(log_odds) / BAR_LOG_ODDS), 24)
    colour = "red" if log_odds > 0 else "green"
    return f"[{colour}]{'█' * length}[/{colour}]"


def check_out(out: Path, suffix: str) -> None:
    """Refuse a file that could not be written in the end, before the work begins.

    Raises:
        BadConfiguration: another ending, a directory, or a directory that one cannot write to.
    """
    if out.suffix != suffix or out.is_dir() or not os.access(out.parent, os.W_OK):
        msg = f"--out must be a {suffix} file in a directory that you can write to, not {out}"
        raise BadConfiguration(msg)
