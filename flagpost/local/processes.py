"""Processes that outlive the command that started them, known by pid and time of start.

A pid alone is not an identity: after a restart of the machine it may belong to anything. A name is
not one either: another working copy runs the same programs.
"""

import contextlib
import os
import pwd
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil

# The start is written down by a clock that may be corrected meanwhile.
SAME_START_SECONDS = 10
POLL_SECONDS = 0.05
REAPED_SECONDS = 5
"""How long whoever inherits a process that has ended may take to notice."""


def find(pid: int, started_at: float) -> psutil.Process | None:
    """Find the running process with this pid that started at this time (seconds since 1970)."""
    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - started_at) < SAME_START_SECONDS
    except psutil.NoSuchProcess:
        return None
    return process if same and is_running(process) else None


def is_running(process: psutil.Process) -> bool:
    """Tell whether a process still runs: one that only waits to be reaped does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def run(command: list[str], log: Path, user: pwd.struct_passwd | None = None) -> bool:
    """Run a command to its end, its output added to `log`; tell whether it succeeded.

    Args:
        command: The program's path and its arguments.
        log: A file; it is made when missing.
        user: Who runs it, when that is not the present user.
    """
    with log.open("a") as output:
        done = subprocess.run(  # noqa: S603 - the programs are ours and no shell is involved
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
            cwd="/",  # the present directory may be closed to the user
            user=user and user.pw_uid,
            group=user and user.pw_gid,
            extra_groups=user and [],
        )
    return done.returncode == 0


def spawn(command: list[str], log: Path) -> psutil.Process:
    """Start a process in a session of its own, its output replacing what is in `log`.

    Closing the terminal or interrupting `make` does not reach it. (`subprocess` would warn that
    its child is still running, which is the point here.)
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    pid = os.posix_spawn(
        command[0],
        command,
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), flags, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )
    return psutil.Process(pid)


def stop(process: psutil.Process, politely: signal.Signals, timeout_seconds: float = 30) -> None:
    """Ask a process to end, kill what has not after the timeout; blocks until all of it is gone."""
    with contextlib.suppress(psutil.NoSuchProcess):
        family = [process, *process.children(recursive=True)]
        process.send_signal(politely)
        for straggler in _wait(family, timeout_seconds):
            straggler.kill()
        _wait(family, timeout_seconds)
    with contextlib.suppress(ChildProcessError):  # unless another process started it
        os.waitpid(process.pid, 0)
    # A server that is started again looks for its former self by pid: it may not be there any more.
    _await(lambda: not process.is_running(), REAPED_SECONDS)


def _wait(processes: list[psutil.Process], timeout_seconds: float) -> list[psutil.Process]:
    """Wait until none runs; return those that still do after the timeout."""
    _await(lambda: not any(map(is_running, processes)), timeout_seconds)
    return [process for process in processes if is_running(process)]


def _await(condition: Callable[[], bool], timeout_seconds: float) -> None:
    deadline = time.monotonic() + timeout_seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
