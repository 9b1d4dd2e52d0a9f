"""`python -m bench`: one benchmark from nothing to its tables and its picture."""

from enum import StrEnum, auto
from pathlib import Path
from typing import Annotated, get_args

import msgspec
import typer
from rich.console import Console

from bench.downtime import measure_downtime
from bench.growth import measure_growth
from bench.journal import measure_journal
from bench.latency import measure_latency
from bench.memory import measure_memory
from bench.page import with_report
from bench.parts import Bench, Part
from bench.peers.comparison import measure_peers
from bench.plot import draw
from bench.prediction import measure_prediction
from bench.report import describe, goal_sheet, sheets, to_markdown, to_rich
from bench.results import Report, Section, conditions
from bench.servers import ROOT, bench_stack, delete_topics
from bench.sizing import with_sizing
from bench.state import measure_state
from bench.steps import measure_steps
from bench.throughput import measure_throughput
from bench.training import measure_training
from flagpost.entry_point import entry_point
from flagpost.progress import progress_bar
from flagpost.settings import KafkaClient

RESULTS = ROOT / "bench" / "results"
PAGE, PEERS_PAGE = ROOT / "docs" / "performance.md", ROOT / "docs" / "peers.md"
QUICK_EVENTS, FULL_EVENTS = 100_000, 1_000_000
QUICK_REPEATS, FULL_REPEATS = 1, 3

console = Console()


class Name(StrEnum):
    """A part. In this order: a process weighs no less than its parent, and that one grows."""

    THROUGHPUT = auto()
    GROWTH = auto()
    MEMORY = auto()
    LATENCY = auto()
    STATE = auto()
    JOURNAL = auto()
    RECOVERY = auto()
    TRAINING = auto()
    PREDICTION = auto()
    STEPS = auto()
    PEERS = auto()


PARTS: dict[Name, Part] = {
    Name.THROUGHPUT: measure_throughput,
    Name.GROWTH: measure_growth,
    Name.MEMORY: measure_memory,
    Name.LATENCY: measure_latency,
    Name.STATE: measure_state,
    Name.JOURNAL: measure_journal,
    Name.RECOVERY: measure_downtime,
    Name.TRAINING: measure_training,
    Name.PREDICTION: measure_prediction,
    Name.STEPS: measure_steps,
    Name.PEERS: measure_peers,
}


@entry_point
def main(
    *,
    only: Annotated[
        list[Name] | None, typer.Option(help="This part alone; may be given again. All if none.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Once each, with a tenth of the events.")
    ] = False,
    events: Annotated[
        int | None, typer.Option(min=1_000, help="Transactions of a run; 1,000,000 if not quick.")
    ] = None,
    repeats: Annotated[
        int | None, typer.Option(min=1, help="Runs of a figure; 3 if not quick.")
    ] = None,
    client: Annotated[KafkaClient | None, typer.Option(help="This one alone, not both.")] = None,
    batch_messages: Annotated[int | None, typer.Option(min=1, help="Messages of a batch.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Where the report goes: bench/results if all parts ran, and not quick."),
    ] = None,
) -> None:
    """Measure throughput, latency and cost. All parts take some 45 minutes, and 10 GB of disk.

    \b
    throughput  raw drain of each client, end to end with each, ratios, processor time
    growth      the same with 10 times the customers, other partitions, two members
    memory      peak memory, and whether it grows with the stream
    latency     from produced to visible at 2,000/s, also evenly, 20,000/s and flat out
    state       bytes of a customer and a terminal, seconds to load the state
    journal     bytes an event, rows and bytes a day, before merging and after
    recovery    from a kill to the first new effect
    training    simulator, features and fit over 1.75 million transactions
    prediction  FraudModel per event, alone and in batches
    steps       where the time of a batch goes
    peers       other tools at the same job: those that python -m bench.peers has installed

    Runs on servers of its own under .flagpost/bench and leaves its messages there for the next
    time. What is counted must add up; the goals are reported and fail nothing.

    Example: python -m bench --quick --only latency --only journal
    """
    chosen = [name for name in Name if not only or name in only]
    with bench_stack(console.print) as stack:
        delete_topics(stack)
        bench = Bench(
            stack=stack.model_copy(
                update={"batch_messages": batch_messages or stack.batch_messages}
            ),
            clients=[client] if client else list(get_args(KafkaClient)),
            repeats=repeats or (QUICK_REPEATS if quick else FULL_REPEATS),
            events=events or (QUICK_EVENTS if quick else FULL_EVENTS),
            is_quick=quick,
        )
        sections = [
            _measure(name, f"{name} ({place} of {len(chosen)})", bench)
            for place, name in enumerate(chosen, 1)
        ]
    report = with_sizing(
        Report(conditions=conditions(bench.repeats, is_quick=quick), sections=sections)
    )
    console.print(describe(report.conditions))
    if report.goals:
        console.print(to_rich(goal_sheet(report.goals)))
    is_whole = not quick and chosen == list(Name)
    if out or is_whole:
        _keep(report, out or RESULTS)


def _measure(name: Name, title: str, bench: Bench) -> Section:
    with progress_bar(title) as on_progress:
        section = PARTS[name](bench, on_progress)
    for sheet in sheets(section):
        console.print(to_rich(sheet))
    return section


def _keep(report: Report, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    (out / "latest.json").write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
    (out / "latest.md").write_text(to_markdown(report))
    draw(report, out / "latest.svg")
    console.print(f"Kept in {out.name}: latest.json, latest.md and latest.svg.")
    if out == RESULTS:
        pages = {PAGE: report, PEERS_PAGE: report.only(Name.PEERS)}
        for page, shown in pages.items():
            if not shown.goals:  # no peer is installed: what is known of them stays
                continue
            page.write_text(with_report(page.read_text(), shown))
            console.print(f"Tables are in docs/{page.name}, too: read what stands around them.")


if __name__ == "__main__":
    typer.run(main)
