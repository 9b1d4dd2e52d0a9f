"""A member that can be told to die at a step of its next batch, and that notes what it tries.

`python -m flagpost.torture.member DIRECTORY`, where the file `doom` names the step, once there is
one, and `attempts` takes the number of messages of each batch before it is committed.
"""

import os
import signal
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import Engine

from flagpost.core.effects import Effects
from flagpost.entry_point import entry_point
from flagpost.member import run_member
from flagpost.scoring import Parts
from flagpost.torture.dying_member import DyingStore, Reach, Step, open_dying_source


def parts_in(directory: Path) -> Parts:
    """Return the parts of a worker whose doom and attempts are files of a directory."""
    reach = partial(_die_if_doomed, directory / "doom")
    return Parts(
        open_store=partial(NotingStore, directory / "attempts", reach),
        open_source=partial(open_dying_source, reach),
    )


class NotingStore(DyingStore):
    """Writes down what it is about to commit, so that work done twice can be counted."""

    def __init__(self, attempts: Path, reach: Reach, engine: Engine, group: str) -> None:
        super().__init__(reach, engine, group)
        self._attempts = attempts

    def commit(self, effects: Effects) -> None:
        """Note a batch, then commit it."""
        with self._attempts.open("a") as file:
            file.write(f"{effects.counts.n_in}\n")
        super().commit(effects)


def _die_if_doomed(doom: Path, step: Step) -> None:
    if doom.exists() and doom.read_text() == step:
        os.kill(os.getpid(), signal.SIGKILL)


@entry_point
def main(directory: Annotated[Path, typer.Argument(help="Where doom and attempts are.")]) -> None:
    """Score like consumer_transform.py, until SIGTERM or doom."""
    run_member(parts_in(directory), until_caught_up=False)


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    app()
