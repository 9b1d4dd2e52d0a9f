"""`python -m bench`: one benchmark from nothing to its tables."""

from concurrent.futures import ProcessPoolExecutor
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, get_args

import msgspec
import typer
from rich.console import Console

from bench.messages import count_labels, write_messages
from bench.report import describe, sheets, to_markdown, to_rich
from bench.results import Report, conditions, summarise
from bench.runs import Kind, Run, measure
from bench.servers import (
    BENCH_HOME,
    PARTITIONS,
    ROOT,
    bench_stack,
    name_fresh_topic,
    run_script,
)
from bench.steps import time_steps
from flagpost.entry_point import entry_point
from flagpost.kafka.access import KafkaAccess
from flagpost.kafka.topics import ensure_topics
from flagpost.progress import progress_bar
from flagpost.settings import KafkaClient, Settings

console = Console()


@entry_point
def main(
    *,
    events: Annotated[int, typer.Option(min=1, help="Messages in the topic.")] = 1_000_000,
    repeats: Annotated[int, typer.Option(min=1, help="Runs of each kind.")] = 3,
    client: Annotated[KafkaClient | None, typer.Option(help="This one alone [both].")] = None,
    batch_messages: Annotated[
        int | None, typer.Option(min=1, help="Messages of a poll [FLAGPOST_BATCH_MESSAGES].")
    ] = None,
    out: Annotated[Path, typer.Option(help="Where latest.json and latest.md go.")] = (
        ROOT / "bench" / "results"
    ),
) -> None:
    """Measure the raw drain of each client, the whole pipeline, and their ratio. Takes minutes.

    Runs on servers of its own under .flagpost/bench and leaves its messages there for the next
    time. What is counted must add up; the goals are reported and fail nothing.

    Example: python -m bench --events 100000 --repeats 1 --client confluent
    """
    clients = [client] if client else list(get_args(KafkaClient))
    with bench_stack(console.print) as stack:
        log = find_messages(events)
        labels = count_labels(log)
        topic = name_fresh_topic(stack)
        settings = stack.model_copy(
            update={
                "topic": topic,
                "labels_topic": f"{topic}-labels",
                "batch_messages": batch_messages or stack.batch_messages,
            }
        )
        _fill(settings, log)
        runs = _measure_all(settings, clients, events, repeats)
        steps = time_steps(settings, log)
    report = Report(
        conditions=conditions(
            events=events,
            labels=labels,
            mean_bytes=log.stat().st_size / (events + labels) - 1,
            partitions=PARTITIONS,
            repeats=repeats,
            batch_messages=settings.batch_messages,
        ),
        results=[summarise(client, runs, events) for client in clients],
        steps_us_per_event=steps,
        runs=runs,
    )
    _show(report)
    _keep(report, out)


def find_messages(events: int) -> Path:
    """Find the messages of an earlier benchmark or make them, in another process: see `Usage`."""
    log = BENCH_HOME / f"payments-and-labels-{events}.jsonl"
    if not log.exists():
        console.print(f"Simulating {events:,} transactions ...")
        with ProcessPoolExecutor(1, get_context("spawn")) as apart:
            apart.submit(write_messages, log, events).result()
    return log


def _fill(settings: Settings, log: Path) -> None:
    """Send the messages flat out, after a consumer of the empty topic has compiled the kernels."""
    partitions = dict.fromkeys((settings.topic, settings.labels_topic), PARTITIONS)
    ensure_topics(KafkaAccess(settings.kafka_bootstrap), partitions)
    run_script(settings, "consumer_transform.py", "--until-caught-up")
    console.print(run_script(settings, "producer.py", log, "--client", "confluent").stdout)


def _measure_all(
    settings: Settings, clients: list[KafkaClient], events: int, repeats: int
) -> list[Run]:
    """Take turns, so that a change in the machine's mood hits all kinds of runs."""
    plan = [(client, kind) for _ in range(repeats) for client, kind in product(clients, Kind)]
    runs = []
    with progress_bar("measuring") as on_progress:
        for place, (client, kind) in enumerate(plan, 1):
            runs.append(measure(settings, client, kind, events))
            on_progress(place / len(plan))
    return runs


def _show(report: Report) -> None:
    console.print(describe(report.conditions))
    for sheet in sheets(report):
        console.print(to_rich(sheet))


def _keep(report: Report, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    (out / "latest.json").write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
    (out / "latest.md").write_text(to_markdown(report))
    console.print(f"Kept in {out.name}/latest.json and latest.md.")


if __name__ == "__main__":
    typer.run(main)
