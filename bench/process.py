"""Running a program and weighing it."""

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from typing import TextIO

STOP_SECONDS = 60
LONGEST_SECONDS = 600
"""After that a program hangs: it waits for messages that were lost, say."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process printed and what it took, from its start to its end.

    `peak_memory_bytes` is the largest resident set. The system begins to count at that of the
    process which starts it, so the benchmark keeps small itself.
    """

    stdout: str
    wall_seconds: float
    cpu_seconds: float
    peak_memory_bytes: int


def run_measured(command: list[str], environment: Mapping[str, str], folder: Path) -> Usage:
    """Run a program in a folder to its end, or kill it after `LONGEST_SECONDS`. Blocks.

    Raises:
        subprocess.CalledProcessError: it failed; the end of what it said is a note.
    """
    with tempfile.TemporaryFile("w+") as stdout, tempfile.TemporaryFile("w+") as stderr:
        began = time.perf_counter()
        process = subprocess.Popen(  # noqa: S603 - our own programs, no shell
            command, env=environment, cwd=folder, stdout=stdout, stderr=stderr
        )
        alarm = Timer(LONGEST_SECONDS, process.kill)
        alarm.start()
        try:
            _, status, taken = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            process.wait()
            raise
        finally:
            alarm.cancel()  # it would keep an interrupted benchmark alive
        wall_seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            error = subprocess.CalledProcessError(process.returncode, command)
            error.add_note(_contents(stderr)[-2000:])
            raise error
        return Usage(
            stdout=_contents(stdout),
            wall_seconds=wall_seconds,
            cpu_seconds=taken.ru_utime + taken.ru_stime,
            peak_memory_bytes=taken.ru_maxrss * 1024,
        )


@contextmanager
def running_beside(
    command: list[str], environment: Mapping[str, str], folder: Path
) -> Iterator[int]:
    """Run a program in a folder beside this one; ask it to end when the context is left.

    Gives its process id.

    Raises:
        subprocess.CalledProcessError: it failed.
        subprocess.TimeoutExpired: it did not end.

    The end of what it said is a note, also of an error from inside the context.
    """
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(  # noqa: S603 - our own programs, no shell
            command, env=environment, cwd=folder, stdout=output, stderr=output
        )
        try:
            yield process.pid
            _stop(process)
        except BaseException as error:
            process.kill()
            process.wait()
            error.add_note(_contents(output)[-2000:])
            raise


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    if returncode := process.wait(STOP_SECONDS):
        raise subprocess.CalledProcessError(returncode, process.args)


def _contents(file: TextIO) -> str:
    file.seek(0)
    return file.read()
