"""Polls a topic with Flagpost's own source and does nothing with it; prints the seconds.

Example: python -m bench.programs.poll 1000000
"""

import time

import typer

from flagpost.kafka.factory import open_source
from flagpost.kafka.pairing import GroupTopics
from flagpost.settings import load_settings
from flagpost.warm_up import calm_garbage_collector
from flagpost.worker import messages_of_a_poll

POLL_SECONDS = 0.5


def main(events: int) -> None:
    """Read so many messages of all partitions from the beginning."""
    settings = load_settings(group=f"poll-{time.time_ns()}")
    source = open_source(settings, GroupTopics(settings.topic))
    calm_garbage_collector()
    max_messages = messages_of_a_poll(settings.batch_messages)
    seen, began = 0, 0.0
    while seen < events:
        poll = source.poll(max_messages, POLL_SECONDS)
        source.seek(dict.fromkeys(poll.assigned, 0))
        if poll.chunks and not seen:
            began = time.perf_counter()
        seen += sum(len(chunk.values) for chunk in poll.chunks)
    typer.echo(time.perf_counter() - began)


if __name__ == "__main__":
    typer.run(main)
