"""Members of a run: one that is asked to end, and one that ends by itself."""

from pathlib import Path

import pytest

from flagpost.torture import crew as crew_module
from flagpost.torture.crew import Crew

BEGINS_LATE = """
import pathlib, signal, sys, time
time.sleep(0.5)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
pathlib.Path(sys.argv[1], "begun").touch()
time.sleep(60)
"""

HANGS = """
import pathlib, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: print("not yet", flush=True))
pathlib.Path(sys.argv[1], "begun").touch()
while True:
    time.sleep(60)
"""


def test_a_member_that_still_starts_is_asked_to_end_when_it_can_end_well(tmp_path: Path) -> None:
    crew = Crew(tmp_path, ("-c", BEGINS_LATE), {})
    member = crew.start()
    assert not crew.all_have_begun()

    crew.part_with(member)

    assert member.process.returncode == 0
    assert crew.failed() == []
    assert member.has_begun


def test_a_member_that_hangs_when_it_is_asked_to_end_has_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crew_module, "STOP_SECONDS", 1)
    crew = Crew(tmp_path, ("-c", HANGS), {})
    member = crew.start()

    crew.stop_all()

    assert crew.failed() == [member]
    assert member.failure == "static-0 hung when it was to stop: not yet"


def test_a_member_that_ends_well_without_being_asked_has_failed(tmp_path: Path) -> None:
    crew = Crew(tmp_path, ("-c", ""), {})
    member = crew.start()
    member.process.wait(60)

    crew.stop_all()

    assert crew.failed() == [member]


def test_a_member_that_an_order_killed_has_not_failed_when_it_is_replaced(tmp_path: Path) -> None:
    crew = Crew(tmp_path, ("-c", BEGINS_LATE), {})
    member = crew.start()
    member.kill()

    crew.replace(member)

    assert crew.failed() == []
    crew.end()
