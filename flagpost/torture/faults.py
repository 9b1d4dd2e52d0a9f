"""What each kind of fault does, and when things may begin to get better."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple

from flagpost.model import FraudModel
from flagpost.torture.crew import Crew, Member, frozen
from flagpost.torture.dying_member import Step
from flagpost.torture.gauge import Gauge
from flagpost.torture.invariants.progress import Silence
from flagpost.torture.plan import FEWEST_MEMBERS, MOST_MEMBERS, Fault, Kind
from flagpost.torture.servers import Servers
from flagpost.torture.site import SESSION_SECONDS, Site
from flagpost.torture.truth import ModelUse
from flagpost.torture.waiting import wait_until

ORDER_SECONDS = 15
"""If no batch comes for so long, to die in or to lose the COMMIT of, a member is killed instead. A
part of the log is sent in two seconds, and a rebalance may come between."""

HEIR_SECONDS = 60
"""So long a new member may take to start, to inherit and to score."""

PAST_SESSION_SECONDS = SESSION_SECONDS + 2


@dataclass(slots=True)
class Scene:
    """All that faults act on.

    Attributes:
        models: the files that members score with, one after the other.
        uses: which of them scored from where on.
    """

    site: Site
    crew: Crew
    gauge: Gauge
    servers: Servers | None
    models: list[Path]
    uses: list[ModelUse] = field(default_factory=list)

    def use_next_model(self) -> None:
        """Let the members that start from now on score with the next model; nobody runs."""
        path = self.models[len(self.uses) % len(self.models)]
        self.crew.environment = {**self.crew.environment, "FLAGPOST_MODEL": str(path)}
        self.uses.append(ModelUse(FraudModel.load(path).version, self.gauge.positions()))

    def silence_of(self, member: Member) -> Silence:
        """Return that a member falls silent now, and the others do not."""
        others = frozenset(each.identity for each in self.crew.running if each is not member)
        return Silence(member.identity, others, datetime.now(UTC))

    def need_servers(self) -> Servers:
        """Return what can kill the servers.

        Raises:
            ValueError: the servers are somebody else's.
        """
        if self.servers is None:
            msg = "this plan kills servers, but they are not ours"
            raise ValueError(msg)
        return self.servers


class Happened(NamedTuple):
    """What really happened.

    Attributes:
        kind: of the fault.
        since: the moment (of `time.monotonic`) from which recovery counts.
        silence: of the one member that it concerned, if others went on.
    """

    kind: Kind
    since: float
    silence: Silence | None = None


def inject(scene: Scene, fault: Fault) -> Happened:
    """Let a fault happen, and end where it has an end. Blocks for as long as it lasts."""
    return _INJECTIONS[fault.kind](scene, fault)


def _kill(scene: Scene, fault: Fault) -> Happened:
    return _kill_member(scene, scene.crew.choose(fault.victim))


def _kill_member(scene: Scene, member: Member) -> Happened:
    member.kill()
    died, silence = time.monotonic(), scene.silence_of(member)
    scene.crew.replace(member)
    return Happened(Kind.KILL, died, silence)


def _die(step: Step, scene: Scene, fault: Fault) -> Happened:
    member = scene.crew.choose(fault.victim)
    member.order("SIGKILL", step)
    if not scene.crew.await_death(member, ORDER_SECONDS):
        return _kill_member(scene, member)
    died, silence = time.monotonic(), scene.silence_of(member)
    scene.crew.replace(member)
    return Happened(fault.kind, died, silence)


def _stop(scene: Scene, fault: Fault) -> Happened:
    member = scene.crew.choose(fault.victim)
    member.stop()
    stopped = time.monotonic()
    scene.crew.replace(member)
    return Happened(fault.kind, stopped)


def _freeze(scene: Scene, fault: Fault) -> Happened:
    member = scene.crew.choose(fault.victim)
    with frozen(member.process):
        began, silence = time.monotonic(), scene.silence_of(member)
        time.sleep(PAST_SESSION_SECONDS)
    return Happened(fault.kind, began, silence)


def _wake_before_the_heir_has_written(scene: Scene, fault: Fault) -> Happened:
    """Freeze the only member with a scored batch, and wake it when its heir has died with one."""
    crew = scene.crew
    zombie, *others = sorted(
        crew.running, key=lambda member: member is not crew.choose(fault.victim)
    )
    for member in others:
        crew.part_with(member)
    zombie.order("SIGSTOP", Step.AFTER_SCORING)
    if not wait_until(zombie.is_frozen, ORDER_SECONDS):
        return _kill_member(scene, zombie)
    heir = crew.start()
    heir.order("SIGKILL", Step.AFTER_SCORING)
    has_scored = crew.await_death(heir, HEIR_SECONDS)
    heir.kill()
    zombie.process.send_signal(signal.SIGCONT)
    woken = time.monotonic()
    crew.replace(heir)
    return Happened(fault.kind if has_scored else Kind.FREEZE, woken)


def _join(scene: Scene, fault: Fault) -> Happened:
    if len(scene.crew.running) == MOST_MEMBERS:
        return _leave(scene, fault)
    scene.crew.start()
    return Happened(Kind.JOIN, time.monotonic())


def _leave(scene: Scene, fault: Fault) -> Happened:
    if len(scene.crew.running) == FEWEST_MEMBERS:
        return _join(scene, fault)
    scene.crew.part_with(scene.crew.choose(fault.victim))
    return Happened(Kind.LEAVE, time.monotonic())


def _roll(scene: Scene, fault: Fault) -> Happened:
    for member in list(scene.crew.running):
        member.stop()
        scene.crew.replace(member)
    return Happened(fault.kind, time.monotonic())


def _change_model(scene: Scene, fault: Fault) -> Happened:
    names = [member.name for member in scene.crew.running]
    scene.crew.stop_all()
    stopped = time.monotonic()
    scene.use_next_model()
    for name in names:
        scene.crew.start(name)
    return Happened(fault.kind, stopped)


def _without(
    outage: Callable[[Scene], AbstractContextManager[None]], scene: Scene, fault: Fault
) -> Happened:
    with outage(scene):
        time.sleep(fault.seconds)
    return Happened(fault.kind, time.monotonic())


@contextmanager
def _database_away(scene: Scene) -> Iterator[None]:
    scene.site.proxy.cut()
    try:
        yield
    finally:
        scene.site.proxy.restore()


def _lose_commit(arm: Callable[[Scene], None], scene: Scene, fault: Fault) -> Happened:
    proxy = scene.site.proxy
    arm(scene)
    if not wait_until(lambda: not proxy.is_armed, ORDER_SECONDS):
        proxy.disarm()
        return _kill(scene, fault)
    return Happened(fault.kind, time.monotonic())


_INJECTIONS: dict[Kind, Callable[[Scene, Fault], Happened]] = {
    Kind.KILL: _kill,
    Kind.DIE_AFTER_SCORING: partial(_die, Step.AFTER_SCORING),
    Kind.DIE_BEFORE_COMMIT: partial(_die, Step.BEFORE_DATABASE_COMMIT),
    Kind.DIE_AFTER_SENDING: partial(_die, Step.AFTER_SENDING),
    Kind.DIE_AFTER_COMMIT: partial(_die, Step.AFTER_DATABASE_COMMIT),
    Kind.DIE_BEFORE_KAFKA: partial(_die, Step.BEFORE_KAFKA_COMMIT),
    Kind.STOP: _stop,
    Kind.FREEZE: _freeze,
    Kind.ZOMBIE: _wake_before_the_heir_has_written,
    Kind.JOIN: _join,
    Kind.LEAVE: _leave,
    Kind.ROLL: _roll,
    Kind.MODEL: _change_model,
    Kind.BROKER_KILLED: partial(_without, lambda scene: scene.need_servers().broker_killed()),
    Kind.BROKER_PAUSED: partial(_without, lambda scene: scene.need_servers().broker_paused()),
    Kind.DATABASE_KILLED: partial(_without, lambda scene: scene.need_servers().database_killed()),
    Kind.DATABASE_AWAY: partial(_without, _database_away),
    Kind.COMMIT_LOST: partial(_lose_commit, lambda scene: scene.site.proxy.lose_next_commit()),
    Kind.REPLY_LOST: partial(_lose_commit, lambda scene: scene.site.proxy.lose_next_commit_reply()),
}
