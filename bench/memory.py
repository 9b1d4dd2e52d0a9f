"""`python -m bench.memory`: does the memory of a worker grow, or end with its windows?"""

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from bench.__main__ import find_messages
from bench.process import Usage
from bench.servers import PARTITIONS, bench_stack, empty_tables, name_fresh_topic, run_script
from flagpost.entry_point import entry_point
from flagpost.kafka.access import KafkaAccess
from flagpost.kafka.topics import ensure_topics
from flagpost.settings import KafkaClient, Settings

console = Console()


@entry_point
def main(
    *,
    events: Annotated[
        int, typer.Option(min=2, help="Transactions of the longer run.")
    ] = 10_000_000,
    client: Annotated[KafkaClient, typer.Option(help="The worker's client.")] = "confluent",
) -> None:
    """Let a worker read half of a steady population's stream, then another all; compare the peaks.

    Takes minutes, and some gigabytes of disk under .flagpost/bench.

    Example: python -m bench.memory --events 2000000
    """
    with bench_stack(console.print) as stack:
        log = find_messages(events)
        topic = name_fresh_topic(stack)
        settings = stack.model_copy(update={"topic": topic, "labels_topic": f"{topic}-labels"})
        ensure_topics(
            KafkaAccess(settings.kafka_bootstrap),
            dict.fromkeys((settings.topic, settings.labels_topic), PARTITIONS),
        )
        half = events // 2
        run_script(settings, "producer.py", log, "--client", "confluent", "--limit", half)
        at_half = _score(settings, client)
        run_script(settings, "producer.py", log, "--client", "confluent", "--from-line", half + 1)
        at_end = _score(settings, client)
    table = Table("messages", "peak memory, MB", title=f"one worker, {client}")
    table.add_row(f"{half:,}", f"{at_half.peak_memory_bytes / 1e6:,.0f}")
    table.add_row(f"{events:,} and more", f"{at_end.peak_memory_bytes / 1e6:,.0f}")
    table.add_row("growth", f"{at_end.peak_memory_bytes / at_half.peak_memory_bytes - 1:+.1%}")
    console.print(table)


def _score(settings: Settings, client: KafkaClient) -> Usage:
    empty_tables(settings)
    usage = run_script(
        settings,
        "consumer_transform.py",
        "--until-caught-up",
        kafka_client=client,
        max_future_days=36_500,  # so many events reach beyond today
    )
    console.print(usage.stdout.strip())
    return usage


if __name__ == "__main__":
    typer.run(main)
