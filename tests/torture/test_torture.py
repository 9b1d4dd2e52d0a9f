"""The published test of delivery, in the short form: see docs/torture.md."""

import random
import subprocess
import sys
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from flagpost.settings import KafkaClient


@pytest.mark.timeout(1_200)
def test_of_50_000_messages_and_20_faults_nothing_is_lost_doubled_or_changed(
    tmp_path: Path,
) -> None:
    client = random.choice(get_args(KafkaClient))
    command = ["torture", "--events", "50000", "--kills", "20", "--longest-outage", "4",
               "--out", "report.md", "--client"]  # fmt: skip

    ended = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "flagpost", *command, client],
        cwd=tmp_path, check=False, capture_output=True, text=True,
    )  # fmt: skip

    assert ended.returncode == 0, ended.stdout + ended.stderr
    report = msgspec.json.decode((tmp_path / "report.json").read_bytes())
    assert report["harms"] == {"lost": 0, "doubled": 0, "changed": 0, "other": 0}
    assert sum(row["times"] for row in report["faults"]) == 20
    assert report["counts"]["transactions"]["n_in"] > 40_000
