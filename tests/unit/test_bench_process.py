"""Programs that the benchmark runs."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from bench import process
from bench.process import run_measured

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


def test_a_program_that_hangs_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "LONGEST_SECONDS", 0.1)

    with pytest.raises(subprocess.CalledProcessError) as failed:
        run_measured(SLEEP, os.environ, tmp_path)

    assert failed.value.returncode == -9


def test_an_interrupted_run_leaves_neither_alarm_nor_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pids = list[int]()

    def interrupt(pid: int, _: int) -> None:
        pids.append(pid)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "wait4", interrupt)
    before = threading.enumerate()

    with pytest.raises(KeyboardInterrupt):
        run_measured(SLEEP, os.environ, tmp_path)

    for thread in set(threading.enumerate()) - set(before):
        thread.join(5)
        assert not thread.is_alive()
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)
