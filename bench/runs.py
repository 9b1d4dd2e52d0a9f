"""One run of each kind, in a process of its own."""

import re
from enum import StrEnum

import msgspec

from bench.drain import Style
from bench.process import Usage
from bench.servers import empty_tables, read_committed, run_script
from flagpost.settings import KafkaClient, Settings

_TALLY_SECONDS = re.compile(r"in ([\d.]+) s")


class Kind(StrEnum):
    """What is measured: a drain in one of its styles, or everything."""

    DEFAULT_DRAIN = Style.DEFAULTS
    RAW_DRAIN = Style.AS_WORKER
    CALM_DRAIN = Style.COLLECTOR_OFF
    END_TO_END = "end-to-end"


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What one run took; `seconds` is the time from the first batch to the last."""

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
        return _score(settings, client, events)
    usage = run_script(settings, "-m", "bench.drain", client, kind, events)
    return _run_of(usage, client, kind, float(usage.stdout))


def _score(settings: Settings, client: KafkaClient, events: int) -> Run:
    empty_tables(settings)
    usage = run_script(settings, "consumer_transform.py", "--until-caught-up", kafka_client=client)
    found = read_committed(settings)
    if (found.n_in, found.n_clean + found.rows, found.rows) != (events, events, found.n_flagged):
        raise Miscounted(f"{events} messages were sent, and {client} committed {found}")
    seconds = float(_TALLY_SECONDS.findall(usage.stdout)[-1])
    return _run_of(usage, client, Kind.END_TO_END, seconds, found.rows)


def _run_of(
    usage: Usage, client: KafkaClient, kind: Kind, seconds: float, flagged: int | None = None
) -> Run:
    return Run(
        client=client,
        kind=kind,
        seconds=seconds,
        wall_seconds=usage.wall_seconds,
        cpu_seconds=usage.cpu_seconds,
        peak_memory_bytes=usage.peak_memory_bytes,
        flagged=flagged,
    )
