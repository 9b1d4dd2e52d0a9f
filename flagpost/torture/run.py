"""A run: a log is sent while one thing after another goes wrong."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from flagpost.core.effects import Counts
from flagpost.logs import LogBatch
from flagpost.torture.crew import Crew
from flagpost.torture.faults import Scene, inject
from flagpost.torture.feed import parts_of, sending
from flagpost.torture.gauge import Gauge, Offsets
from flagpost.torture.invariants.progress import Silence
from flagpost.torture.invariants.violations import Harm, Violation
from flagpost.torture.ledger import open_ledger, owners_now
from flagpost.torture.plan import Fault, Kind, Plan
from flagpost.torture.servers import Servers
from flagpost.torture.site import Site
from flagpost.torture.verdict import compare, counts_of, n_chances, truths_of
from flagpost.torture.waiting import wait_until

PART_SECONDS = 2.0
"""So long a part of the log is being sent."""

PROBE_SECONDS = 0.5
"""Recovered is who has done with all that was sent so long after the fault."""

BOUND_SECONDS = 90
"""A lag that is not gone after so long is a violation of I6."""

MEMBER = ("-m", "flagpost.torture.member")


@dataclass(frozen=True, slots=True)
class Episode:
    """A fault and what followed from it.

    Attributes:
        kind: what happened; where no batch came to die in, a member was killed instead.
        recovery_seconds: until all was done that had been sent soon after the fault.
        n_repeated: messages that were about to be committed and were not, so that somebody had to
            do them again.
        silence: of a member, while others went on.
        ends: the positions at its end.
        has_caught_up: whether there was no lag then.
    """

    kind: Kind
    recovery_seconds: float
    n_repeated: int
    silence: Silence | None
    ends: Offsets
    has_caught_up: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run has shown.

    Attributes:
        counts: what had to become of the transactions and the labels.
        n_silences: how often a member was silent beside others.
        n_chances: how often they had something to go on with then.
    """

    plan: Plan
    episodes: list[Episode]
    violations: list[Violation]
    counts: dict[str, Counts]
    n_silences: int
    n_chances: int
    seconds: float


def torture(
    site: Site,
    plan: Plan,
    log: Path,
    models: Sequence[Path],
    servers: Servers | None = None,
    program: Sequence[str] = MEMBER,
    on_progress: Callable[[float], None] = lambda _: None,
) -> Outcome:
    """Send a log while a plan is carried out, and check every invariant. Blocks for minutes.

    The run ends early when a lag does not go away or a member ends by itself; what was sent until
    then is checked.

    Args:
        site: new topics, and a database with all tables and nothing in them.
        plan: what goes wrong.
        log: transactions and labels as they arrive.
        models: that the members change between; the first one begins.
        servers: what is killed; a plan that kills none needs none.
        program: what runs a member, given a directory for itself.
        on_progress: is told how much of the plan is done, from 0 to 1.
    """
    began = time.monotonic()
    site.create_topics()
    open_ledger(site.database_url)
    crew = Crew(site.directory / "members", program, site.settings())
    scene = Scene(site, crew, Gauge(site), servers, list(models))
    episodes = list[Episode]()
    try:
        _begin(scene, plan.n_members)
        parts = parts_of(log, len(plan.faults))
        for fault, part in zip(plan.faults, parts, strict=True):
            episodes.append(_live_through(scene, fault, part))
            on_progress(len(episodes) / len(plan.faults))
            if not episodes[-1].has_caught_up:
                break
        crew.stop_all()
    finally:
        crew.end()
    truths = truths_of(site, log, models, scene.uses)
    silences = [episode.silence for episode in episodes if episode.silence]
    violations = [
        *_unrecovered(scene, episodes),
        *compare(site, truths, silences, crew.logs()),
    ]
    return Outcome(
        plan,
        episodes,
        violations,
        counts_of(site, truths),
        n_silences=sum(bool(silence.others) for silence in silences),
        n_chances=n_chances(site, truths, silences),
        seconds=time.monotonic() - began,
    )


def _begin(scene: Scene, n_members: int) -> None:
    """Start the first members and wait until every partition has an owner, and each is one."""
    scene.use_next_model()
    members = {scene.crew.start().identity for _ in range(n_members)}
    n_partitions = len(scene.gauge.ends())
    _wait(scene, lambda: len(scene.gauge.positions()) == n_partitions)
    _wait(scene, lambda: members == owners_now(scene.site.database_url))


def _live_through(scene: Scene, fault: Fault, part: LogBatch) -> Episode:
    gauge, crew = scene.gauge, scene.crew
    _wait(scene, crew.all_have_begun)  # who finds a server away at its start ends, and rightly so
    done, attempted = gauge.n_done(), _n_messages(crew)
    moment = done + fault.moment * len(part.values)
    with sending(scene.site, part, PART_SECONDS):
        _wait(scene, lambda: gauge.n_done() >= moment)
        kind, since, silence = inject(scene, fault)
        time.sleep(max(since + PROBE_SECONDS - time.monotonic(), 0))
        has_recovered = _wait(scene, partial(gauge.has_reached, gauge.ends()))
        recovery_seconds = time.monotonic() - since
    has_caught_up = has_recovered and _wait(scene, partial(gauge.has_reached, gauge.ends()))
    n_repeated = _n_messages(crew) - attempted - (gauge.n_done() - done)
    return Episode(kind, recovery_seconds, n_repeated, silence, gauge.positions(), has_caught_up)


def _n_messages(crew: Crew) -> int:
    """How many messages were about to be committed so far."""
    return sum(each.counts.n_in for each in crew.attempts())


def _wait(scene: Scene, condition: Callable[[], bool]) -> bool:
    """Wait for a condition as long as everybody is well; say whether it holds."""
    wait_until(lambda: bool(scene.crew.failed()) or condition(), BOUND_SECONDS)
    return not scene.crew.failed() and condition()


def _unrecovered(scene: Scene, episodes: Sequence[Episode]) -> Iterator[Violation]:
    """I6: nobody ends by himself, and every lag goes away."""
    for member in scene.crew.failed():
        yield Violation("I6", Harm.OTHER, member.failure)
    for episode in episodes:
        if not episode.has_caught_up:
            text = f"after {episode.kind} there is lag for more than {BOUND_SECONDS} s"
            yield Violation("I6", Harm.OTHER, text)
