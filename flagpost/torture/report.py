"""What a run has shown, as a table for a terminal, as Markdown and as JSON."""

import subprocess
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from os import cpu_count
from pathlib import Path
from platform import machine, python_version, system
from shutil import which
from statistics import median

import msgspec
import psutil
from rich.box import SIMPLE
from rich.table import Table

from flagpost.local import kafka_properties
from flagpost.torture.invariants.violations import Harm, Violation
from flagpost.torture.run import Episode, Outcome
from flagpost.torture.site import SESSION_SECONDS

COLUMNS = ("fault", "times", "recovery, s", "longest, s", "repeated", "violations")
MOST_SHOWN = 20
ROOT = Path(__file__).parents[2]
EXPLANATION = (
    "Recovery is the time until everything was done that had been sent up to half a second after"
    " the fault (after its end, where it lasts). Repeated are the messages of batches that were"
    " scored and not committed."
)

INVARIANTS = {
    "I1": "committed steps tile each partition; counts, positions and checkpoints are right",
    "I2": "all scores, fraud table, totals, spread and labels equal the offline pass, to the bit",
    "I3": "no offset was committed to Kafka before the position was there, and some were",
    "I4": "the journal has each accepted message once, in order, in segments that tile it",
    "I5": "dead letters are exactly the bad messages, as they were, with the reason",
    "I6": "the lag comes back to nothing after each fault; others go on while a member is silent",
    "I7": "no password in logs or headers",
}


class Row(msgspec.Struct, frozen=True):
    """One kind of fault: how often, what it cost, and the violations that came with it."""

    fault: str
    times: int
    median_recovery_seconds: float
    longest_recovery_seconds: float
    n_repeated: int
    n_violations: int

    @property
    def cells(self) -> tuple[str, ...]:
        """The row as texts."""
        return (
            self.fault,
            str(self.times),
            f"{self.median_recovery_seconds:.1f}",
            f"{self.longest_recovery_seconds:.1f}",
            f"{self.n_repeated:,}",
            str(self.n_violations),
        )


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A run, its conditions and its findings."""

    seed: int
    command: str
    commit: str | None
    date: str
    minutes: float
    client: str
    machine: str
    cores: int | None
    memory_bytes: int
    python: str
    kafka: str
    session_seconds: int
    counts: dict[str, dict[str, int]]
    n_silences: int
    n_chances: int
    faults: list[Row]
    harms: dict[str, int]
    invariants: dict[str, int]
    violations: list[str]

    @property
    def holds(self) -> bool:
        """Whether nothing at all was violated."""
        return not any(self.invariants.values())

    @property
    def progress(self) -> str:
        """How often the last part of I6 had something to check."""
        return (
            f"A member was silent beside others {self.n_silences} times; {self.n_chances} times"
            " they had something to go on with."
        )

    @property
    def summary(self) -> str:
        """The findings in a line."""
        n_faults = sum(row.times for row in self.faults)
        harms = ", ".join(f"{n} {harm}" for harm, n in self.harms.items())
        read = " and ".join(f"{each['n_in']:,} {name}" for name, each in self.counts.items())
        return f"seed {self.seed}: {read}, {n_faults} faults, {self.minutes:.1f} minutes: {harms}"


def commit_of(root: Path) -> str | None:
    """Name the commit of a working copy and say whether it was changed; None if it is none."""
    git = which("git")
    if git is None or not (root / ".git").exists():
        return None
    described = subprocess.run(  # noqa: S603 - nothing of it comes from outside
        [git, "-C", root, "describe", "--always", "--dirty", "--exclude=*", "--abbrev=12"],
        check=False,
        capture_output=True,
        text=True,
    )
    return described.stdout.strip() or None


def report_of(outcome: Outcome, client: str, command: str) -> Report:
    """Bring together what a run has shown."""
    harms = Counter(violation.harm for violation in outcome.violations)
    broken = Counter(violation.invariant for violation in outcome.violations)
    return Report(
        seed=outcome.plan.seed,
        command=command,
        commit=commit_of(ROOT),
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        minutes=round(outcome.seconds / 60, 1),
        client=client,
        machine=f"{system()} on {machine()}",
        cores=cpu_count(),
        memory_bytes=psutil.virtual_memory().total,
        python=python_version(),
        kafka=kafka_properties.VERSION,
        session_seconds=SESSION_SECONDS,
        counts={name: msgspec.to_builtins(each) for name, each in outcome.counts.items()},
        n_silences=outcome.n_silences,
        n_chances=outcome.n_chances,
        faults=list(_rows(outcome)),
        harms={harm.value: harms[harm] for harm in Harm},
        invariants={name: broken[name] for name in INVARIANTS},
        violations=[_described(violation) for violation in outcome.violations],
    )


def _rows(outcome: Outcome) -> Iterator[Row]:
    by_kind = defaultdict[str, list[int]](list)
    for number, episode in enumerate(outcome.episodes):
        by_kind[episode.kind].append(number)
    blamed = Counter(_episode_of(each, outcome.episodes) for each in outcome.violations)
    for kind, numbers in by_kind.items():
        episodes = [outcome.episodes[number] for number in numbers]
        recoveries = [episode.recovery_seconds for episode in episodes]
        yield Row(
            kind,
            len(episodes),
            round(median(recoveries), 2),
            round(max(recoveries), 2),
            sum(episode.n_repeated for episode in episodes),
            sum(blamed[number] for number in numbers),
        )


def _episode_of(violation: Violation, episodes: Sequence[Episode]) -> int | None:
    """Say during which episode the offset of a violation was processed."""
    partition, offset = violation.partition, violation.offset
    if partition is None or offset is None:
        return None
    ends = [episode.ends.get(partition, 0) for episode in episodes]
    return min(bisect_left(ends, offset + 1), len(episodes) - 1)


def _described(violation: Violation) -> str:
    partition = violation.partition
    place = f" at {partition.topic}[{partition.number}]" if partition else ""
    place += "" if violation.offset is None else f":{violation.offset}"
    return f"{violation.invariant} {violation.harm}{place}: {violation.text}"


def tables(report: Report) -> Iterator[Table]:
    """Draw the report for a terminal."""
    faults = Table(*COLUMNS, box=SIMPLE)
    for row in report.faults:
        faults.add_row(*row.cells)
    yield faults
    invariants = Table("", "invariant", "violations", box=SIMPLE)
    for name, text in INVARIANTS.items():
        invariants.add_row(name, text, str(report.invariants[name]))
    yield invariants


def to_markdown(report: Report) -> str:
    """Write the report as a page."""
    conditions = (
        f"{report.date}, {report.machine}, {report.cores} cores with"
        f" {report.memory_bytes / 2**30:.0f} GiB for broker, database and members. Python"
        f" {report.python}, Kafka {report.kafka}, client {report.client}, session timeout"
        f" {report.session_seconds} s."
    )
    lines = [
        "# Torture report",
        "",
        f"{report.summary.capitalize()}.",
        "",
        f"- Command: `{report.command}`" + (f", commit {report.commit}" if report.commit else ""),
        f"- {conditions}",
        f"- {EXPLANATION}",
        f"- {report.progress}",
        "",
        *_markdown_table(COLUMNS, [row.cells for row in report.faults]),
        "",
        *_markdown_table(
            ("", "invariant", "violations"),
            [(name, text, str(report.invariants[name])) for name, text in INVARIANTS.items()],
        ),
        "",
        *_markdown_table(
            ("topic", *next(iter(report.counts.values()))),
            [(name, *(f"{n:,}" for n in each.values())) for name, each in report.counts.items()],
        ),
        "",
        *(f"- {violation}" for violation in report.violations[:MOST_SHOWN]),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    for cells in (head, ["---"] * len(head), *rows):
        yield f"| {' | '.join(cells)} |"
