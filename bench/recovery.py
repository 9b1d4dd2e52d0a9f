"""`python -m bench.recovery`: how long nothing happens when the only member is gone."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, get_args
from uuid import uuid4

import psycopg
import typer
from rich.console import Console
from rich.table import Table

from bench.messages import find_log
from bench.servers import TOPIC_PREFIX, bench_stack
from flagpost.entry_point import entry_point
from flagpost.logs import LogBatch
from flagpost.settings import KafkaClient, Settings
from flagpost.torture.crew import Crew, Member
from flagpost.torture.database_proxy import proxy_before
from flagpost.torture.feed import parts_of, sending
from flagpost.torture.run import MEMBER
from flagpost.torture.site import SESSION_SECONDS, Site
from flagpost.torture.waiting import wait_until

EVENTS = 4_000
SENDING_SECONDS = 8.0
"""A rate that leaves the cores to the member that starts."""

PATIENCE_SECONDS = 60

_N_DONE = 'SELECT coalesce(sum(next_offset), 0)::bigint FROM stream.positions WHERE "group" = %s'

console = Console()

End = Callable[[Member], None]

CASES: dict[str, tuple[str, End]] = {
    "kill -9, another one starts": ("dynamic-0", Member.kill),
    "kill -9, starts again with its member id": ("static-0", Member.kill),
    "SIGTERM, another one starts": ("dynamic-0", Member.stop),
    "SIGTERM, starts again with its member id": ("static-0", Member.stop),
}


@entry_point
def main(
    *,
    repeats: Annotated[int, typer.Option(min=1, help="Runs of each case.")] = 3,
    client: Annotated[KafkaClient | None, typer.Option(help="This one alone [both].")] = None,
) -> None:
    """Measure from the end of the only member to the first new effect of the next. Takes minutes.

    The start of the process that replaces it is included. 500 messages a second come meanwhile.

    Example: python -m bench.recovery --repeats 5 --client confluent
    """
    clients: list[KafkaClient] = [client] if client else list(get_args(KafkaClient))
    table = Table("seconds, least to most", *clients, title=f"session timeout {SESSION_SECONDS} s")
    with bench_stack(console.print) as settings:
        [part] = parts_of(find_log(EVENTS), 1)
        for case, (name, end) in CASES.items():
            measure = partial(measure_once, settings, part, name, end)
            runs = [sorted(measure(client) for _ in range(repeats)) for client in clients]
            table.add_row(case, *(f"{run[0]:.1f} to {run[-1]:.1f}" for run in runs))
    console.print(table)


def measure_once(
    settings: Settings, part: LogBatch, name: str, end: End, client: KafkaClient
) -> float:
    """Return the seconds from the end of the only member to the first new effect. Blocks."""
    url = settings.database_url.get_secret_value()
    with (
        TemporaryDirectory() as directory,
        proxy_before(url) as proxy,
        psycopg.connect(url, autocommit=True) as database,
    ):
        topic = f"{TOPIC_PREFIX}{uuid4().hex[:8]}"
        site = Site(Path(directory), settings.kafka_bootstrap, url, proxy, topic, client)
        site.create_topics()
        crew = Crew(Path(directory) / "members", MEMBER, site.settings())
        try:
            member = crew.start(name)
            with sending(site, part, SENDING_SECONDS):
                _await_more(database, topic, EVENTS // 10)
                end(member)
                ended, n_done = time.monotonic(), _n_done(database, topic)
                crew.replace(member)
                _await_more(database, topic, n_done)
                return time.monotonic() - ended
        finally:
            crew.end()


def _await_more(database: psycopg.Connection, group: str, n: int) -> None:
    has_more = wait_until(lambda: _n_done(database, group) > n, PATIENCE_SECONDS)
    assert has_more, "it does not go on"


def _n_done(database: psycopg.Connection, group: str) -> int:
    [(n_done,)] = database.execute(_N_DONE, [group])
    return int(n_done)


if __name__ == "__main__":
    typer.run(main)
