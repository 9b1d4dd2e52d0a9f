"""What a replay shows at its end: what the broker acknowledged."""

from rich.markup import escape
from rich.table import Table

from flagpost.kafka.publisher import Receipt
from flagpost.replay import Outcome


def summary(outcome: Outcome, topic: str, labels_topic: str) -> Table:
    """A table of what the broker acknowledged, a row for each topic."""
    table = Table(title="acknowledged by Kafka")
    for name in ("topic", "sent", "acknowledged", "failed", "seconds", "events/s"):
        table.add_column(name, justify="left" if name == "topic" else "right")
    for name in (topic, labels_topic):
        table.add_row(escape(name), *_counts(outcome.receipt, name, outcome.seconds))
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
