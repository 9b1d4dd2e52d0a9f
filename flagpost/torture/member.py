"""A member that can be told to die or to freeze at a step of a batch, and that notes what it tries.

`python -m flagpost.torture.member DIRECTORY`: the file `order` there names a signal and the step at
which the member sends it to itself; `attempts` takes every advance before it is committed; `begun`
appears when both servers have answered.
"""

import gc

if __name__ == "__main__":
    gc.disable()  # as in consumer_transform.py

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from sqlalchemy import Engine

from flagpost.core.effects import Counts, Effects
from flagpost.entry_point import entry_point, run_program
from flagpost.kafka.pairing import GroupTopics
from flagpost.kafka.source import Source
from flagpost.member import run_member
from flagpost.scoring import Parts
from flagpost.settings import Settings
from flagpost.torture.dying_member import DyingStore, Reach, Step, open_dying_source


def parts_in(directory: Path) -> Parts:
    """Return the parts of a worker whose order and attempts are files of a directory."""
    reach = partial(obey, directory / "order")
    return Parts(
        open_store=partial(NotingStore, directory / "attempts", reach),
        open_source=partial(open_dying_source, reach),
    )


class NotingStore(DyingStore):
    """Writes down what it is about to commit, so that work done twice can be counted."""

    def __init__(self, attempts: Path, reach: Reach, engine: Engine, group: str) -> None:
        super().__init__(reach, engine, group)
        self._attempts = attempts

    def begin_commit(self, effects: Effects) -> Callable[[], Counts]:
        """Note a batch, then begin to commit it."""
        with self._attempts.open("ab") as file:
            file.writelines(msgspec.json.encode(each) + b"\n" for each in effects.advances)
        return super().begin_commit(effects)


def telling_when_begun(directory: Path, parts: Parts) -> Parts:
    """Return parts whose source leaves a file once it is open: the last that a start waits for."""

    def open_source(settings: Settings, topics: GroupTopics) -> Source:
        source = parts.open_source(settings, topics)
        (directory / "begun").touch()
        return source

    return replace(parts, open_source=open_source)


def obey(order: Path, step: Step) -> None:
    """Carry out an order, once, if this is its step; another thread may be faster."""
    with suppress(FileNotFoundError):
        name, at = order.read_text().split()
        if at == step:
            order.unlink()
            os.kill(os.getpid(), signal.Signals[name])


@entry_point
def main(directory: Annotated[Path, typer.Argument(help="Where its files are.")]) -> None:
    """Score like consumer_transform.py, until SIGTERM or an order."""
    run_member(telling_when_begun(directory, parts_in(directory)), until_caught_up=False)


if __name__ == "__main__":
    run_program(main)
