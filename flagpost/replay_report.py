"""What a replay shows: its progress while it runs, and what the broker acknowledged."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from flagpost.kafka.publisher import Receipt
from flagpost.replay import Outcome


@contextmanager
def progress_bar(name: str) -> Iterator[Callable[[float], None]]:
    """Show a bar on stderr, if that is a terminal; gives a function to move it, from 0 to 1."""
    console = Console(stderr=True)
    columns = TextColumn(name), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(name, total=1.0)
        yield lambda fraction: progress.update(task, completed=fraction)


def summary(outcome: Outcome, topic: str, labels_topic: str) -> Table:
    """A table of what the broker acknowledged, a row for each topic."""
    table = Table(title="acknowledged by Kafka")
    for name in ("topic", "sent", "acknowledged", "failed", "seconds", "events/s"):
        table.add_column(name, justify="left" if name == "topic" else "right")
    for name in (topic, labels_topic):
        table.add_row(name, *_counts(outcome.receipt, name, outcome.seconds))
    return table


def _counts(receipt: Receipt, topic: str, seconds: float) -> list[str]:
    sent, acknowledged = receipt.sent[topic], receipt.acknowledged[topic]
    rate = acknowledged / seconds if seconds else 0.0
    return [
        f"{sent:,}",
        f"{acknowledged:,}",
        f"{sent - acknowledged:,}",
        f"{seconds:.1f}",
        f"{rate:,.0f}",
    ]
