"""A member of the scoring group that dies in the middle of a batch, as `kill -9` would end it.

`python -m flagpost.torture.dying_member --at before-database-commit --batch 3`
"""

import os
import signal
import threading
from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import partial
from itertools import count
from typing import Annotated

import typer
from sqlalchemy import Engine, event

from flagpost.core.effects import Counts, Effects
from flagpost.entry_point import entry_point, run_program
from flagpost.events import Partition
from flagpost.kafka.factory import open_source
from flagpost.kafka.pairing import GroupTopics
from flagpost.kafka.source import Source
from flagpost.member import run_member
from flagpost.postgres.store import PostgresStore
from flagpost.scoring import Parts
from flagpost.settings import Settings

Reach = Callable[["Step"], None]
"""Called at a step of each batch; at the last step of this process it does not return."""


class Step(StrEnum):
    """Where in a batch the member dies."""

    AFTER_SCORING = "after-scoring"
    """Scored, its dead letters acknowledged, nothing sent to the database."""
    BEFORE_DATABASE_COMMIT = "before-database-commit"
    """The only statement, or else COMMIT, is not sent."""
    AFTER_SENDING = "after-sending"
    """The only statement is sent, and nobody has asked what came of it; else as the next one."""
    AFTER_DATABASE_COMMIT = "after-database-commit"
    """The database has it, the worker has not noted it."""
    BEFORE_KAFKA_COMMIT = "before-kafka-commit"
    """The worker has noted it, Kafka's lag tools have not."""


def dying_parts(at: Step, batch: int) -> Parts:
    """Return parts of a worker that kill its process at a step of its `batch`-th batch."""
    batches = count(1)

    def reach(step: Step) -> None:
        if step is at and next(batches) == batch:
            os.kill(os.getpid(), signal.SIGKILL)

    return Parts(
        open_store=partial(DyingStore, reach), open_source=partial(open_dying_source, reach)
    )


class DyingStore(PostgresStore):
    """Reaches the steps around the commit of a batch."""

    def __init__(self, reach: Reach, engine: Engine, group: str) -> None:
        """Listen to what is sent, to tell the commits of batches from the others."""
        super().__init__(engine, group)
        self._reach = reach
        self._batch = threading.local()
        event.listen(engine, "commit", self._before_commit)

    def begin_commit(self, effects: Effects) -> Callable[[], Counts]:
        """Begin to commit a batch."""
        self._reach(Step.AFTER_SCORING)
        self._batch.is_written = True
        try:
            await_counts = super().begin_commit(effects)
        finally:
            self._batch.is_written = False
        self._reach(Step.AFTER_SENDING)

        def await_and_reach() -> Counts:
            counts = await_counts()
            self._reach(Step.AFTER_DATABASE_COMMIT)
            return counts

        return await_and_reach

    def _send(self, effects: Effects) -> Callable[[], Counts]:
        self._before_commit()
        return super()._send(effects)

    def _before_commit(self, *_: object) -> None:
        if getattr(self._batch, "is_written", False):
            self._reach(Step.BEFORE_DATABASE_COMMIT)


def open_dying_source(reach: Reach, settings: Settings, topics: GroupTopics) -> Source:
    """Open a source that reaches the step before its commit."""
    source = open_source(settings, topics)
    commit = source.commit

    def reach_and_commit(offsets: Mapping[Partition, int]) -> None:
        reach(Step.BEFORE_KAFKA_COMMIT)
        commit(offsets)

    source.commit = reach_and_commit  # type: ignore[method-assign]  # of whichever client it is
    return source


@entry_point
def main(
    *,
    at: Annotated[Step, typer.Option("--at", help="The step of the batch.")],
    batch: Annotated[int, typer.Option("--batch", min=1, help="Which batch it is.")] = 1,
    until_caught_up: Annotated[
        bool, typer.Option("--until-caught-up", help="Stop when the group has no lag left.")
    ] = False,
) -> None:
    """Score like consumer_transform.py, until SIGKILL at a step of a batch.

    Example: python -m flagpost.torture.dying_member --at after-scoring --batch 3
    """
    run_member(dying_parts(at, batch), until_caught_up=until_caught_up)


if __name__ == "__main__":
    run_program(main)
