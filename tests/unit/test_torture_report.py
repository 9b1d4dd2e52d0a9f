"""What a report says of the code that ran."""

import shutil
import subprocess
from pathlib import Path

import pytest

from flagpost.torture.report import commit_of


def git(root: Path, *arguments: str) -> str:
    program = shutil.which("git")
    if program is None:
        pytest.fail("git is not installed")
    command = [program, "-C", str(root), "-c", "user.name=A", "-c", "user.email=a@b", *arguments]
    return subprocess.run(  # noqa: S603 - our own command
        command, check=True, capture_output=True, text=True
    ).stdout.strip()


def test_the_commit_of_a_working_copy_is_named_and_whether_it_was_changed(tmp_path: Path) -> None:
    git(tmp_path, "init")
    (tmp_path / "file").write_text("one")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "-m", "One")
    commit = git(tmp_path, "rev-parse", "--short=12", "HEAD")

    assert commit_of(tmp_path) == commit
    (tmp_path / "file").write_text("two")
    assert commit_of(tmp_path) == f"{commit}-dirty"


def test_what_is_installed_is_of_no_commit(tmp_path: Path) -> None:
    assert commit_of(tmp_path) is None
