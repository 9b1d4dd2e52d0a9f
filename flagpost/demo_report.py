"""The tables that a demo ends with."""

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from flagpost.core.decision import RiskLevel
from flagpost.core.effects import Counts
from flagpost.training.metrics import Bools

N_SHOWN_OF_A_KIND = 2
N_REASONS = 2
COLOURS = {RiskLevel.HIGH: "red", RiskLevel.MEDIUM: "yellow", RiskLevel.LOW: "cyan"}
COUNT_NAMES = ("read", "clean", "flagged", "duplicate", "dead")


def flagged_table(found: pd.DataFrame, frauds: Bools) -> Table:
    """Show the riskiest flagged transactions for each kind of reason, and what the labels say.

    Args:
        found: rows of `scores.fraud_transactions`.
        frauds: shape (rows,), what the labels say of each.
    """
    codes = [reasons[0]["code"] for reasons in found["reasons"]]
    ranked = found.assign(is_fraud=frauds, code=codes).sort_values(
        "fraud_probability", ascending=False, kind="stable"
    )
    shown = ranked.groupby("code", sort=False).head(N_SHOWN_OF_A_KIND)
    title = f"scores.fraud_transactions: {len(shown)} of {len(found)}"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    for name in ("transaction", "user", "amount", "fraud", "risk", "label"):
        numeric = name in {"amount", "fraud"}
        table.add_column(name, justify="right" if numeric else "left", no_wrap=True)
    table.add_column("reasons", overflow="fold")
    for row in shown.to_dict("records"):
        table.add_row(
            escape(row["transaction_id"]), escape(row["user_id"]), f"{row['amount']:,.2f}",
            f"{row['fraud_probability']:.1%}",
            f"[{COLOURS[row['risk_level']]}]{row['risk_level']}",
            "fraud" if row["is_fraud"] else "genuine",
            "; ".join(reason["text"] for reason in row["reasons"][:N_REASONS]),
        )  # fmt: skip
    return table


def counts_table(counts: Counts) -> Table:
    """Show what became of the messages of this run."""
    table = Table(*COUNT_NAMES, title="this run", title_justify="left", box=SIMPLE_HEAD)
    table.add_row(*(f"{n:,}" for n in counts.numbers))
    return table


def quality_table(found: pd.DataFrame, frauds: Bools, n_frauds: int) -> Table:
    """Compare what was flagged with the labels: precision and recall for each risk level.

    Args:
        found: rows of `scores.fraud_transactions`.
        frauds: shape (rows,), what the labels say of each.
        n_frauds: frauds in the log.
    """
    title = f"against the {n_frauds} frauds that the log's labels tell"
    table = Table(
        "risk", "flagged", "frauds", "precision", "recall",
        title=title, title_justify="left", box=SIMPLE_HEAD,
    )  # fmt: skip
    for level in (RiskLevel.HIGH, RiskLevel.MEDIUM, RiskLevel.LOW):
        chosen = (found["risk_level"] == level).to_numpy()
        table.add_row(level, *_quality(int(chosen.sum()), int(frauds[chosen].sum()), n_frauds))
    table.add_section()
    table.add_row("all", *_quality(len(found), int(frauds.sum()), n_frauds))
    return table


def _quality(n_flagged: int, n_hits: int, n_frauds: int) -> tuple[str, str, str, str]:
    return f"{n_flagged:,}", f"{n_hits:,}", _share(n_hits, n_flagged), _share(n_hits, n_frauds)


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "-"
