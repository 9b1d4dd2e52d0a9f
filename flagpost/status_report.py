"""`flagpost status` as tables for people, and as JSON for tools."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from flagpost.pipeline_status import PartitionStatus, PipelineStatus

_NUMBERS = ("lag", "epoch", "in", "clean", "flagged", "duplicate", "dead")


def pipeline_table(status: PipelineStatus) -> Table:
    """Show a row for each partition."""
    table = Table(
        title=escape(_title(status)), title_justify="left", box=SIMPLE_HEAD, pad_edge=False,
        collapse_padding=True,
    )  # fmt: skip
    table.add_column("partition", no_wrap=True)
    for name in _NUMBERS:
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("event time", "moved", "owner"):
        table.add_column(name, no_wrap=True)
    for each in status.partitions:
        table.add_row(*map(escape, _cells(each, status.at)))
    return table


def error_table(status: PipelineStatus) -> Table | None:
    """Show the last error of each partition that ever had one; None if there was none."""
    rows = [
        (_name(each), f"{each.standing.last_error_at:%Y-%m-%d %H:%M:%S}", each.standing.last_error)
        for each in status.partitions
        if each.standing and each.standing.last_error
    ]
    if not rows:
        return None
    table = Table("partition", "last error at", "", box=SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*map(escape, row))
    return table


def as_json(status: PipelineStatus, problems: Sequence[str]) -> dict[str, Any]:
    """Return what the tables show, exactly, for msgspec to encode."""
    return {
        "at": status.at,
        "group": status.group,
        "members": None if status.kafka is None else status.kafka.members,
        "partitions": [_as_json(each) for each in status.partitions],
        "problems": list(problems),
    }


def _title(status: PipelineStatus) -> str:
    if status.kafka is None:
        return f"group {status.group}"
    n = len(status.kafka.members)
    return f"group {status.group}: {n or 'no'} member{'' if n == 1 else 's'}"


def _name(status: PartitionStatus) -> str:
    return f"{status.partition.topic}[{status.partition.number}]"


def _cells(status: PartitionStatus, now: datetime) -> list[str]:
    lag = "?" if status.lag is None else f"{status.lag:,}"
    standing = status.standing
    if standing is None:
        return [_name(status), lag, *["-"] * (len(_NUMBERS) + 2)]
    return [
        _name(status),
        lag,
        str(standing.epoch),
        *(f"{number:,}" for number in standing.counts.numbers),
        f"{standing.event_time:%Y-%m-%d %H:%M}" if standing.event_time else "-",
        _ago(now, standing.moved_at) if standing.counts.n_in else "-",
        standing.owner or "-",
    ]


def _ago(now: datetime, then: datetime) -> str:
    """Tell a duration in its largest unit."""
    seconds = max(int((now - then).total_seconds()), 0)
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit} ago"
    return f"{seconds} s ago"


def _as_json(status: PartitionStatus) -> dict[str, Any]:
    found: dict[str, Any] = {
        "topic": status.partition.topic,
        "partition": status.partition.number,
        "first_offset": status.first_offset,
        "end_offset": status.end_offset,
        "lag": status.lag,
    }
    if status.standing is not None:
        facts = asdict(status.standing)
        found |= facts.pop("counts")
        del facts["partition"]
        found |= facts
    return found
