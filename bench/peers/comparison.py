"""All peers and Flagpost in turns on the same topic."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path

from bench.latency import SLOW, steady_stream
from bench.messages import find_log
from bench.parts import Bench, OnProgress, in_turns
from bench.peers.catalogue import PEERS, Peer
from bench.peers.reference import Reference, calculate_reference
from bench.peers.runs import PeerRun, run_peer
from bench.peers.timeliness import Timeliness, latency_table, watch_peer
from bench.results import Figure, Goal, Row, Section, Table, row
from bench.runs import Kind, measure
from bench.servers import PARTITIONS
from flagpost.settings import KafkaClient, Settings

NAME, TITLE = "peers", "Peers"
SPEED = "Speed and cost, the same job end to end"
"""The title of the table whose first column has the rates."""

_HOW = (
    "The same job on {partitions} partitions of the same messages, fewer of them for the slow "
    "ones, in one process each: decode, the four windows of the customer by event time, a logistic "
    "regression, flagged rows to PostgreSQL "
    "before offsets are committed. Rates run from the first message to the last commit; processor "
    "time is that of the whole process with its start. Latency is measured as Flagpost's, of the "
    "peers that can write soon; what writes by the clock then does so every 10 ms. A row differs "
    "if it is missing, too many or of another probability than in a plain calculation over the "
    "log. Flagpost runs as it is and does more: terminals, labels, 30 features, a model of its "
    "own, the journal, each effect once."
)


@dataclass(frozen=True, eq=False)
class Contestant:
    """Whoever takes turns; `goals` are how many times as fast Flagpost has to be."""

    title: str
    events: int
    run: Callable[[], PeerRun]
    goals: Mapping[KafkaClient, float] = field(default_factory=dict)


def measure_peers(bench: Bench, on_progress: OnProgress, peers: Sequence[Peer] = PEERS) -> Section:
    """Let those peers that are installed take turns with Flagpost. Blocks for minutes.

    Raises:
        Miscounted: somebody has lost or doubled messages.
        subprocess.CalledProcessError: somebody failed.
    """
    present = [peer for peer in peers if peer.installation.is_there]
    absent = [peer.title for peer in peers if peer not in present]
    if not present:
        return Section(NAME, TITLE, _absence(absent), [])
    flagposts = {client: _flagpost(bench, client) for client in bench.clients}
    reference_of = cache(calculate_reference)
    others = [_peer(bench, peer, reference_of) for peer in present]
    for client in bench.clients:  # the first start ever compiles the kernels
        measure(bench.filled(find_log(bench.events), PARTITIONS), client, Kind.START, 0)
    contestants = [*flagposts.values(), *others]
    runs: dict[Contestant, list[PeerRun]] = {}
    for contestant in in_turns(bench.repeats, contestants, lambda done: on_progress(done / 2)):
        runs.setdefault(contestant, []).append(contestant.run())
    timely, latencies = [peer for peer in present if peer.is_timely], dict[str, list[Timeliness]]()
    stream = steady_stream(SLOW, 2 if bench.is_quick else 6)
    for peer in in_turns(bench.repeats, timely, lambda done: on_progress((1 + done) / 2)):
        found = watch_peer(bench.stack, peer, stream)
        latencies.setdefault(peer.full_title, []).append(found)
    return section_of(runs, flagposts, latencies, absent)


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
        flagged=run.flagged or 0,
        differing=None,
    )


def _peer(bench: Bench, peer: Peer, reference_of: Callable[[Path], Reference]) -> Contestant:
    events = bench.events // peer.one_of
    log = find_log(events)
    run = partial(
        run_peer,
        bench.filled(log, PARTITIONS),
        peer.command(),
        events,
        reference_of(log),
        commits_to_kafka=peer.commits_to_kafka,
    )
    return Contestant(peer.full_title, events, run, peer.goals)


def section_of(
    runs: Mapping[Contestant, Sequence[PeerRun]],
    flagposts: Mapping[KafkaClient, Contestant],
    latencies: Mapping[str, Sequence[Timeliness]],
    absent: Sequence[str],
) -> Section:
    """Arrange what was found, a row for each contestant.

    Args:
        runs: At least one of each contestant.
        flagposts: Those of them that are Flagpost.
        latencies: At least one of each peer that is timely, by its title.
        absent: The titles of the peers that are not installed.
    """
    rates = {each: _rate(each, of_it) for each, of_it in runs.items()}
    speed = Table(
        SPEED,
        [
            "thousand events/s",
            "whole process, s",
            "processor s per million events",
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
    how = f"{_HOW.format(partitions=PARTITIONS)} {_absence(absent)}".rstrip()
    tables = [speed, latency_table(latencies), rows]
    return Section(NAME, TITLE, how, tables, [*_goals(rates, flagposts), _same_rows(runs)])


def _rate(contestant: Contestant, runs: Sequence[PeerRun]) -> Figure:
    """Thousand events a second."""
    return Figure.of([1e-3 * contestant.events / run.seconds for run in runs])


def _costs(contestant: Contestant, runs: Sequence[PeerRun]) -> list[Figure]:
    per_million = 1e6 / contestant.events
    return [
        Figure.of([run.wall_seconds for run in runs]),
        Figure.of([per_million * run.cpu_seconds for run in runs]),
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


def _same_rows(runs: Mapping[Contestant, Sequence[PeerRun]]) -> Goal:
    """A comparison of speed means nothing if somebody does another job."""
    differing = sum(run.differing or 0 for of_it in runs.values() for run in of_it)
    return Goal("peers: rows that are not those of the reference", differing, most=0)


def _absence(titles: Sequence[str]) -> str:
    if not titles:
        return ""
    return (
        f"Not installed, so not measured: {', '.join(titles)}. "
        "`python -m bench.peers install` installs them in environments of their own."
    )
