"""The members of a run: started, stopped, frozen and killed, each by its pid."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import psutil

from flagpost.core.effects import Advance
from flagpost.torture.dying_member import Step
from flagpost.torture.plan import MOST_MEMBERS
from flagpost.torture.waiting import wait_until

STOP_SECONDS = 60
HUNG = -signal.SIGALRM
"""The exit code of a member that had to be ended when its time was up."""


@contextmanager
def frozen(process: "subprocess.Popen[bytes]") -> Iterator[None]:
    """Let a process stand still meanwhile."""
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


@dataclass(frozen=True, slots=True)
class Member:
    """A process of the group; everything it writes is in its directory."""

    name: str
    directory: Path
    process: "subprocess.Popen[bytes]"

    @property
    def identity(self) -> str:
        """What the database calls this process, and no other."""
        return self.directory.name

    @property
    def log(self) -> str:
        """What it has said."""
        return (self.directory / "log").read_text()

    @property
    def last_line(self) -> str:
        """The last thing it has said."""
        return (self.log.splitlines() or ["nothing"])[-1]

    @property
    def has_begun(self) -> bool:
        """Whether both servers have answered it: from now on it waits for one that goes away."""
        return (self.directory / "begun").exists()

    @property
    def attempts(self) -> list[Advance]:
        """What it was about to commit, failed attempts too."""
        path = self.directory / "attempts"
        attempts = path.read_bytes() if path.exists() else b""
        whole_lines = attempts[: attempts.rfind(b"\n") + 1].splitlines()  # it may be writing now
        return [msgspec.json.decode(line, type=Advance) for line in whole_lines]

    @property
    def has_failed(self) -> bool:
        """Whether it ended by itself, and not well, or did not end when it should have."""
        return self.process.poll() not in {None, 0, -signal.SIGKILL}

    @property
    def failure(self) -> str:
        """How it failed, and the last thing it has said."""
        code = self.process.returncode
        ended = "hung when it was to stop" if code == HUNG else f"ended with code {code}"
        return f"{self.name} {ended}: {self.last_line}"

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait()

    def ask_to_end(self) -> None:
        """Send SIGTERM, when it has come so far that it ends well by it."""
        wait_until(lambda: self.has_begun or self.process.poll() is not None, STOP_SECONDS)
        self.process.terminate()

    def await_end(self) -> None:
        """Wait until it has ended; one that hangs is ended, and has failed."""
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.send_signal(-HUNG)
            self.process.wait()

    def stop(self) -> None:
        """Ask it to end, and wait."""
        self.ask_to_end()
        self.await_end()

    def order(self, name: str, step: Step) -> None:
        """Let it send itself a signal at a step of its next batch."""
        draft = self.directory / "order.draft"
        draft.write_text(f"{name} {step}")
        draft.rename(self.directory / "order")  # it may be looking now

    def is_frozen(self) -> bool:
        """Say whether it stands still."""
        return psutil.Process(self.process.pid).status() == psutil.STATUS_STOPPED


@dataclass(slots=True)
class Crew:
    """The members that run now, and all there ever were.

    Every other member has a member id and takes its place again at once when it is started anew;
    the others are missed only when their session ends.

    Attributes:
        directory: where each member gets a directory of its own.
        program: what runs a member, given its directory.
        environment: the settings of each.
    """

    directory: Path
    program: Sequence[str]
    environment: Mapping[str, str]
    running: list[Member] = field(default_factory=list)
    ever: list[Member] = field(default_factory=list)

    def start(self, name: str | None = None) -> Member:
        """Start a member, by a new name unless it takes the place of another."""
        name = name or next(self._free_names())
        directory = self.directory / f"{len(self.ever)}-{name}"
        directory.mkdir(parents=True)
        identity = {
            "FLAGPOST_MEMBER_ID": name if name.startswith("static") else "",
            "PGAPPNAME": directory.name,
        }
        with (directory / "log").open("wb") as log:
            process = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, *self.program, str(directory)],
                env={**_environment_of_others(), **self.environment, **identity},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        member = Member(name, directory, process)
        self.running.append(member)
        self.ever.append(member)
        return member

    def choose(self, share: float) -> Member:
        """Return the member at a share of the list."""
        return self.running[int(share * len(self.running))]

    def replace(self, member: Member) -> None:
        """Start another in the place of one that has ended."""
        self.running.remove(member)
        self.start(member.name)

    def part_with(self, member: Member) -> None:
        """Stop a member for good."""
        member.stop()
        self.running.remove(member)

    def await_death(self, member: Member, seconds: float) -> bool:
        """Wait for a member to die by its order; say whether it did."""
        return wait_until(lambda: member.process.poll() is not None, seconds)

    def all_have_begun(self) -> bool:
        """Say whether everybody has begun."""
        return all(member.has_begun for member in self.running)

    def failed(self) -> list[Member]:
        """Return those who ended by an error, or whom nobody asked to end, each once."""
        deserted = [member for member in self.running if member.process.poll() is not None]
        failed = [member for member in self.ever if member.has_failed]
        return [*failed, *(member for member in deserted if member not in failed)]

    def logs(self) -> dict[str, str]:
        """Return what everybody has said."""
        return {str(member.directory): member.log for member in self.ever}

    def stop_all(self) -> None:
        """Stop everybody at the same time; who had ended before stays on the list."""
        stopping = [member for member in self.running if member.process.poll() is None]
        for member in stopping:
            member.ask_to_end()
        for member in stopping:
            member.await_end()
            self.running.remove(member)

    def end(self) -> None:
        """Leave no process behind, whatever has happened."""
        for member in self.ever:
            if member.process.poll() is None:
                member.kill()

    def attempts(self) -> list[Advance]:
        """Return what all members together were about to commit."""
        return [each for member in self.ever for each in member.attempts]

    def _free_names(self) -> Iterator[str]:
        taken = {member.name for member in self.running}
        for number in range(MOST_MEMBERS + 1):
            name = f"{'dynamic' if number % 2 else 'static'}-{number}"
            if name not in taken:
                yield name


def _environment_of_others() -> dict[str, str]:
    """Return the environment without settings of ours: a run depends on its arguments alone."""
    return {name: value for name, value in os.environ.items() if not name.startswith("FLAGPOST_")}
