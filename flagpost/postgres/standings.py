"""All that is stored about how far a group is, for people who operate it."""

from collections.abc import Collection

from sqlalchemy import Engine, Row, select

from flagpost.core.effects import Counts
from flagpost.events import Partition
from flagpost.pipeline_status import Standing
from flagpost.postgres.driver_errors import translated
from flagpost.postgres.tables import StreamPosition


def read_standings(engine: Engine, group: str, topics: Collection[str]) -> list[Standing]:
    """Read the positions of a group, in the order of topic and partition. Blocks.

    Raises:
        Unavailable: the database does not answer.
        SchemaOutdated: tables or columns are missing.
        BadConfiguration: the server refuses access.
    """
    query = (
        select(StreamPosition.__table__)
        .where(StreamPosition.group == group, StreamPosition.topic.in_(topics))
        .order_by(StreamPosition.topic, StreamPosition.partition)
    )
    with translated(), engine.connect() as connection:
        return [_standing(row) for row in connection.execute(query)]


def _standing(row: Row[tuple[object, ...]]) -> Standing:
    return Standing(
        partition=Partition(row.topic, row.partition),
        epoch=row.epoch,
        next_offset=row.next_offset,
        event_time=row.event_time,
        counts=Counts(row.n_in, row.n_clean, row.n_flagged, row.n_duplicate, row.n_dead),
        moved_at=row.updated_at,
        owner=row.owner,
        owned_since=row.owned_since,
        last_error=row.last_error,
        last_error_at=row.last_error_at,
    )
