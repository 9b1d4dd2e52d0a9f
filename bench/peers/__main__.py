"""`python -m bench.peers`: installs other tools that do this job, and compares single ones."""

from typing import Annotated, get_args

import typer
from rich.console import Console

from bench.parts import Bench
from bench.peers.catalogue import PEERS, Peer
from bench.peers.comparison import measure_peers
from bench.peers.installation import InstallationFailed
from bench.report import goal_sheet, sheets, to_rich
from bench.servers import bench_stack, delete_topics
from flagpost.entry_point import entry_point, program
from flagpost.errors import Refused
from flagpost.progress import progress_bar
from flagpost.settings import KafkaClient

console = Console()
app = program("Other tools at the job of Flagpost. All of them: python -m bench --only peers")

Names = Annotated[
    list[str] | None,
    typer.Argument(help="Of " + ", ".join(peer.name for peer in PEERS) + "; all if none."),
]


@app.command()
@entry_point
def install(names: Names = None) -> None:
    """Install peers under .flagpost/bench/peers: some minutes, and 2 GB of disk for all.

    Their packages and jars are locked by hashes, and none of them is the project's. What is there
    already stays. One that cannot be installed here is told, and the others go on.

    Example: python -m bench.peers install bytewax kafka-streams
    """
    failed = [peer.name for peer in _chosen(names) if not _is_made(peer)]
    if failed:
        raise typer.Exit(1)


def _is_made(peer: Peer) -> bool:
    console.print(f"{peer.full_title} ...")
    try:
        peer.installation.make()
    except InstallationFailed as error:
        console.print(f"{peer.full_title} could not be installed:\n{error}")
        return False
    return True


@app.command()
@entry_point
def compare(
    names: Names = None,
    *,
    events: Annotated[int, typer.Option(min=1_000, help="Transactions in the topic.")] = 100_000,
    repeats: Annotated[int, typer.Option(min=1, help="Runs of each.")] = 1,
) -> None:
    """Run peers and Flagpost in turns on the same topic, and show what came out.

    Example: python -m bench.peers compare bytewax --events 1000000 --repeats 3
    """
    chosen = _chosen(names)
    with bench_stack(console.print) as stack, progress_bar("peers") as on_progress:
        delete_topics(stack)
        bench = Bench(
            stack=stack,
            clients=list(get_args(KafkaClient)),
            repeats=repeats,
            events=events,
            is_quick=False,
        )
        section = measure_peers(bench, on_progress, chosen)
    for sheet in sheets(section):
        console.print(to_rich(sheet))
    if section.goals:
        console.print(to_rich(goal_sheet(section.goals)))
    console.print(section.how)


def _chosen(names: list[str] | None) -> list[Peer]:
    known = {peer.name: peer for peer in PEERS}
    if unknown := set(names or ()) - known.keys():
        raise Refused(
            f"no peer is called {', '.join(sorted(unknown))}: there are {', '.join(known)}"
        )
    return [known[name] for name in names or known]


if __name__ == "__main__":
    app()
