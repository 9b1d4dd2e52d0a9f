"""All peers and Flagpost in turns on the same topic."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from bench.messages import find_log
from bench.parts import Bench, OnProgress, in_turns
from bench.peers.catalogue import PEERS, Peer, Ready
from bench.peers.installation import LeftOut
from bench.peers.reference import Reference, calculate_reference
from bench.peers.runs import PeerRun, run_peer
from bench.results import Figure, Goal, Row, Section, Table, row
from bench.runs import Kind, measure
from bench.servers import PARTITIONS
from flagpost.settings import KafkaClient, Settings

NAME = "peers"

_HOW = (
    "The same job on the same topic of {partitions} partitions, in one process each: decode, the "
    "four windows of the customer by event time, a logistic regression, flagged rows to PostgreSQL "
    "before offsets are committed. Rates run from the first message to the last commit; processor "
    "time and memory are those of the whole process with its start. A row differs if it is "
    "missing, too many or of another probability than in a plain calculation over the log. "
    "Flagpost runs as it is and does more: terminals, labels, 30 features, a model of its own, the "
    "journal, each effect once."
)


@dataclass(frozen=True, eq=False)
class Contestant:
    """Whoever takes turns; `goals` are how many times as fast Flagpost has to be."""

    title: str
    events: int
    run: Callable[[], PeerRun]
    goals: Mapping[KafkaClient, float] = field(default_factory=dict)


def measure_peers(bench: Bench, on_progress: OnProgress, peers: Sequence[Peer] = PEERS) -> Section:
    """Install the peers on first use and let all take turns with Flagpost. Blocks for minutes.

    A peer that cannot be installed here is left out, and the section says why.

    Raises:
        Miscounted: somebody has lost or doubled messages.
        subprocess.CalledProcessError: somebody failed.
    """
    ready, left_out = _make_ready(peers)
    flagposts = {client: _flagpost(bench, client) for client in bench.clients}
    others = [_peer(bench, peer, how) for peer, how in ready.items()]
    for client in bench.clients:  # the first start ever compiles the kernels
        measure(bench.filled(find_log(bench.events), PARTITIONS), client, Kind.START, 0)
    runs: dict[Contestant, list[PeerRun]] = {}
    for contestant in in_turns(bench.repeats, [*flagposts.values(), *others], on_progress):
        runs.setdefault(contestant, []).append(contestant.run())
    return section_of(runs, flagposts, left_out)


def _make_ready(peers: Sequence[Peer]) -> tuple[dict[Peer, Ready], dict[str, str]]:
    """Install them; those that cannot be have a reason each."""
    ready, left_out = dict[Peer, Ready](), dict[str, str]()
    for peer in peers:
        try:
            ready[peer] = peer.make_ready()
        except LeftOut as reason:
            left_out[peer.title] = str(reason)
    return ready, left_out


def _flagpost(bench: Bench, client: KafkaClient) -> Contestant:
    settings = bench.filled(find_log(bench.events), PARTITIONS)
    return Contestant(
        f"Flagpost, {client}", bench.events, partial(_run_flagpost, settings, client, bench.events)
    )


def _run_flagpost(settings: Settings, client: KafkaClient, events: int) -> PeerRun:
    run = measure(settings, client, Kind.END_TO_END, events)
    return PeerRun(
        seconds=run.seconds,
        wall_seconds=run.wall_seconds,
        cpu_seconds=run.cpu_seconds,
        peak_memory_bytes=run.peak_memory_bytes,
        flagged=run.flagged or 0,
        differing=None,
    )


def _peer(bench: Bench, peer: Peer, how: Ready) -> Contestant:
    events = bench.events // peer.one_of
    log = find_log(events)
    run = partial(
        run_peer,
        bench.filled(log, PARTITIONS),
        how.command,
        events,
        _reference(log),
        commits_to_kafka=peer.commits_to_kafka,
    )
    return Contestant(f"{peer.title} {how.version}", events, run, peer.goals)


def _reference(log: Path) -> Reference:
    """Calculate it in another process: see `bench.process.Usage`."""
    with ProcessPoolExecutor(1, get_context("spawn")) as apart:
        return apart.submit(calculate_reference, log).result()


def section_of(
    runs: Mapping[Contestant, Sequence[PeerRun]],
    flagposts: Mapping[KafkaClient, Contestant],
    left_out: Mapping[str, str],
) -> Section:
    """Arrange what was found, a row for each contestant.

    Args:
        runs: At least one of each contestant.
        flagposts: Those of them that are Flagpost.
        left_out: The reason for each peer that did not run.
    """
    rates = {each: _rate(each, of_it) for each, of_it in runs.items()}
    speed = Table(
        "Speed and cost",
        [
            "thousand events/s",
            "whole process, s",
            "processor s per million events",
            "peak memory, MB",
        ],
        [
            Row(each.title, [rates[each], *_costs(each, of_it)], digits=1)
            for each, of_it in runs.items()
        ],
    )
    rows = Table(
        "Rows",
        ["events", "flagged", "differing"],
        [
            row(
                each.title,
                [
                    [each.events],
                    [run.flagged for run in of_it],
                    [run.differing for run in of_it if run.differing is not None] or None,
                ],
            )
            for each, of_it in runs.items()
        ],
    )
    how = " ".join([_HOW.format(partitions=PARTITIONS), *map(_absence, left_out.items())])
    return Section(NAME, "Peers", how, [speed, rows], _goals(rates, flagposts))


def _rate(contestant: Contestant, runs: Sequence[PeerRun]) -> Figure:
    """Thousand events a second."""
    return Figure.of([1e-3 * contestant.events / run.seconds for run in runs])


def _costs(contestant: Contestant, runs: Sequence[PeerRun]) -> list[Figure]:
    per_million = 1e6 / contestant.events
    return [
        Figure.of([run.wall_seconds for run in runs]),
        Figure.of([per_million * run.cpu_seconds for run in runs]),
        Figure.of([1e-6 * run.peak_memory_bytes for run in runs]),
    ]


def _goals(
    rates: Mapping[Contestant, Figure], flagposts: Mapping[KafkaClient, Contestant]
) -> list[Goal]:
    return [
        Goal(
            f"{flagpost.title} / {peer.title}",
            rates[flagpost].median / rates[peer].median,
            least=peer.goals[client],
            digits=2,
        )
        for client, flagpost in flagposts.items()
        for peer in rates
        if client in peer.goals
    ]


def _absence(left_out: tuple[str, str]) -> str:
    title, reason = left_out
    return f"{title} is left out: it {reason}."
