"""One run of each kind over a topic that is filled, in a process of its own."""

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum

import msgspec

from bench.process import Usage
from bench.programs.drain import Style
from bench.servers import create_topics, empty_tables, read_committed, run_script
from flagpost.settings import KafkaClient, Settings

_TALLY_SECONDS = re.compile(r"in ([\d.]+) s")


class Kind(StrEnum):
    """What is measured: a drain in one of its styles, everything, or a start for nothing."""

    DEFAULT_DRAIN = Style.DEFAULTS
    RAW_DRAIN = Style.AS_WORKER
    CALM_DRAIN = Style.COLLECTOR_OFF
    END_TO_END = "end-to-end"
    START = "start"


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What one run took; `seconds` is the time from the first batch to the last.

    Of several members, the times are those of the slowest, the processor time is that of all.
    """

    client: KafkaClient
    kind: Kind
    seconds: float
    wall_seconds: float
    cpu_seconds: float
    peak_memory_bytes: int
    flagged: int | None = None


class Miscounted(AssertionError):
    """A consumer has lost or doubled messages: its speed means nothing."""


def measure(settings: Settings, client: KafkaClient, kind: Kind, events: int) -> Run:
    """Run once and check the counts. Blocks."""
    if kind is Kind.END_TO_END:
        return score(settings, client, events)
    if kind is Kind.START:
        return _start(settings, client)
    usage = run_script(settings, "-m", "bench.programs.drain", client, kind, events)
    return _run_of([usage], client, kind, float(usage.stdout))


def score(settings: Settings, client: KafkaClient, events: int, members: int = 1) -> Run:
    """Score all with empty tables, by so many members at the same time. Blocks."""
    empty_tables(settings)
    with ThreadPoolExecutor(members) as pool:
        usages = list(pool.map(_run_worker, [settings] * members, [client] * members))
    found = read_committed(settings)
    if (found.n_in, found.n_clean + found.rows, found.rows) != (events, events, found.n_flagged):
        raise Miscounted(f"{events} messages were sent, and {client} committed {found}")
    seconds = [float(_TALLY_SECONDS.findall(usage.stdout)[-1]) for usage in usages]
    return _run_of(usages, client, Kind.END_TO_END, max(seconds), found.rows)


def _start(settings: Settings, client: KafkaClient) -> Run:
    empty_tables(settings)
    usage = _run_worker(create_topics(settings, settings.topic_partitions), client)
    return _run_of([usage], client, Kind.START, 0.0)


def _run_worker(settings: Settings, client: KafkaClient) -> Usage:
    return run_script(
        settings,
        "consumer_transform.py",
        "--until-caught-up",
        kafka_client=client,
        max_future_days=36_500,  # a long log reaches beyond today
    )


def _run_of(
    usages: Sequence[Usage],
    client: KafkaClient,
    kind: Kind,
    seconds: float,
    flagged: int | None = None,
) -> Run:
    return Run(
        client=client,
        kind=kind,
        seconds=seconds,
        wall_seconds=max(usage.wall_seconds for usage in usages),
        cpu_seconds=sum(usage.cpu_seconds for usage in usages),
        peak_memory_bytes=max(usage.peak_memory_bytes for usage in usages),
        flagged=flagged,
    )
