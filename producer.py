"""Replays a log of transactions and labels into Kafka."""

from itertools import chain, islice
from pathlib import Path
from typing import Annotated

import typer
from rich import print as show

from flagpost.entry_point import INTERRUPTED_EXIT_CODE, entry_point, run_program
from flagpost.events import load_mapping
from flagpost.kafka.access_settings import kafka_access
from flagpost.kafka.factory import open_publisher
from flagpost.kafka.topics import ensure_topics
from flagpost.logs import read_log
from flagpost.pace import choose_pace
from flagpost.progress import progress_bar
from flagpost.replay import Replay, select_lines
from flagpost.replay_report import summary
from flagpost.settings import KafkaClient, load_settings
from flagpost.stop_signals import stop_on_signals


@entry_point
def main(
    file: Annotated[Path, typer.Argument(help="JSON lines, CSV or Parquet; may end in .gz.")],
    *,
    topic: Annotated[str | None, typer.Option(help="For transactions [FLAGPOST_TOPIC].")] = None,
    rate: Annotated[float | None, typer.Option(min=0.001, help="Events a second.")] = None,
    speed: Annotated[float | None, typer.Option(min=0.001, help="Times real time.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Send so many messages.")] = None,
    from_line: Annotated[int, typer.Option(min=1, help="Begin at this line of the file.")] = 1,
    client: Annotated[
        KafkaClient | None, typer.Option(help="Kafka client [FLAGPOST_KAFKA_CLIENT].")
    ] = None,
) -> None:
    """Send a log to Kafka as fast as it goes, or at --rate or --speed.

    Transactions and labels go to their topics, which are created when missing, keyed by user. Ends
    with what the broker acknowledged: exit code 1 if that is not everything.

    Example: python producer.py logFraud.json --rate 2000
    """
    settings = load_settings()
    topic = topic or settings.topic
    mapping = load_mapping(settings.mapping)
    pace = choose_pace(rate, speed, mapping)
    access = kafka_access(settings)
    batches = select_lines(read_log(file), from_line, limit)
    first = list(islice(batches, 1))  # an unreadable file is found before anything is created
    ensure_topics(access, dict.fromkeys((topic, settings.labels_topic), settings.topic_partitions))
    publisher = open_publisher(access, client or settings.kafka_client)
    with stop_on_signals() as stop, progress_bar(file.name) as on_progress:
        replay = Replay(publisher, topic, settings.labels_topic, pace, mapping, stop)
        outcome = replay.run(chain(first, batches), on_progress)
    show(summary(outcome, topic, settings.labels_topic))
    if outcome.resume_at_line:
        typer.echo(f"stopped; go on with --from-line {outcome.resume_at_line}", err=True)
    if outcome.receipt.failed:
        typer.echo(f"error: not acknowledged: {outcome.receipt.first_failure}", err=True)
        raise typer.Exit(1)
    if outcome.resume_at_line:
        raise typer.Exit(INTERRUPTED_EXIT_CODE)


if __name__ == "__main__":
    run_program(main)
