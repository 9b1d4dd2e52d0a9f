"""A group that goes back, as `flagpost rewind` takes it."""

from sqlalchemy import Engine

from flagpost.events import Partition
from flagpost.postgres.rewinding import read_rewindable, rewind
from flagpost.rewind_plan import plan_to_offset


def rewind_to(engine: Engine, group: str, partition: Partition, offset: int) -> int:
    """Take a group back, and return how many rows of its journal were removed."""
    found = read_rewindable(engine, group, [partition.topic])
    steps = plan_to_offset(found.histories, partition, offset)
    return rewind(engine, group, steps)["journal segments"]
