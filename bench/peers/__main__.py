"""`python -m bench.peers`: other tools at the same job, beside Flagpost, in one run."""

from pathlib import Path
from typing import Annotated, get_args

import msgspec
import typer
from rich.console import Console

from bench.parts import Bench
from bench.peers.catalogue import PEERS
from bench.peers.comparison import measure_peers
from bench.report import describe, goal_sheet, sheets, to_markdown, to_rich
from bench.results import Report, conditions
from bench.servers import ROOT, bench_stack, delete_topics
from flagpost.entry_point import entry_point
from flagpost.errors import Refused
from flagpost.progress import progress_bar
from flagpost.settings import KafkaClient

console = Console()


@entry_point
def main(
    *,
    events: Annotated[int, typer.Option(min=1_000, help="Transactions in the topic.")] = 1_000_000,
    repeats: Annotated[int, typer.Option(min=1, help="Runs of each.")] = 3,
    peer: Annotated[
        list[str] | None,
        typer.Option(help="This one alone; may be given again. All if none.", metavar="NAME"),
    ] = None,
    out: Annotated[Path, typer.Option(help="Where peers.json and peers.md go.")] = (
        ROOT / "bench" / "results"
    ),
) -> None:
    """Compare Flagpost with other tools at the same job. Takes some 20 minutes.

    The peers are kafka-streams, bytewax, quix, faust and tutorial. Each is installed under
    .flagpost/bench/peers on first use, which takes minutes and a network; one that cannot be is
    left out. The slowest gets fewer events.

    Example: python -m bench.peers --events 100000 --repeats 1 --peer bytewax --peer quix
    """
    unknown = set(peer or ()) - {each.name for each in PEERS}
    if unknown:
        names = ", ".join(each.name for each in PEERS)
        raise Refused(f"--peer {', '.join(sorted(unknown))}: there are {names}")
    chosen = [each for each in PEERS if not peer or each.name in peer]
    with bench_stack(console.print) as stack, progress_bar("measuring") as on_progress:
        delete_topics(stack)
        bench = Bench(
            stack=stack,
            clients=list(get_args(KafkaClient)),
            repeats=repeats,
            events=events,
            is_quick=False,
        )
        section = measure_peers(bench, on_progress, chosen)
    report = Report(conditions=conditions(repeats), sections=[section])
    _show(report)
    _keep(report, out)


def _show(report: Report) -> None:
    console.print(describe(report.conditions))
    for sheet in (goal_sheet(report.goals), *sheets(report.sections[0])):
        console.print(to_rich(sheet))
    console.print(report.sections[0].how)


def _keep(report: Report, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    (out / "peers.json").write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
    (out / "peers.md").write_text(to_markdown(report))
    console.print(f"Kept in {out.name}: peers.json and peers.md.")


if __name__ == "__main__":
    typer.run(main)
