"""Which dead letters were sent again: claimed before it, marked after it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, Row, and_, bindparam, func, select, update
from sqlalchemy.dialects.postgresql import insert

from flagpost.dead_letters.letter import LetterId
from flagpost.postgres.driver_errors import translated
from flagpost.postgres.recordset import recordset
from flagpost.postgres.tables import DeadLetterReplay


@dataclass(frozen=True, slots=True)
class Replay:
    """That a dead letter was sent again; `replayed_at` is None while nobody knows if it was.

    `edited_key` and `edited_value` are what was sent instead of its own; None: as it was.
    """

    id: LetterId
    edited_key: bytes | None
    edited_value: bytes | None
    claimed_by: str
    claimed_at: datetime
    replayed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Edit:
    """What is to be sent instead of the bad message's own; None: as it was."""

    key: bytes | None = None
    value: bytes | None = None


_KEY = (DeadLetterReplay.topic, DeadLetterReplay.partition, DeadLetterReplay.kafka_offset)
_letters = recordset("letters", *_KEY)
_OF_LETTERS = and_(*(column == _letters.c[column.key] for column in _KEY))
_FIND = select(DeadLetterReplay.__table__).join_from(DeadLetterReplay, _letters, _OF_LETTERS)
_UNFINISHED = (
    select(DeadLetterReplay.__table__).where(DeadLetterReplay.replayed_at.is_(None)).order_by(*_KEY)
)
_CLAIM = (
    insert(DeadLetterReplay)
    .from_select(
        [*(column.key for column in _KEY), "edited_key", "edited_value", "claimed_by"],
        select(
            *_letters.c,
            bindparam("key", type_=DeadLetterReplay.edited_key.type),
            bindparam("value", type_=DeadLetterReplay.edited_value.type),
            bindparam("by", type_=DeadLetterReplay.claimed_by.type),
        ).order_by(*_letters.c),
    )
    .on_conflict_do_nothing()
    .returning(*_KEY)
)
_FINISH = update(DeadLetterReplay).where(_OF_LETTERS).values(replayed_at=func.now())


def claim(engine: Engine, letters: Sequence[LetterId], by: str, edit: Edit) -> set[LetterId]:
    """Claim dead letters that nobody has claimed; whoever does alone may send them. Blocks.

    Returns:
        Those that are ours now.

    Raises:
        Unavailable: the database does not answer.
        SchemaOutdated: there is no such table.
    """
    claimed = {**_named(letters), "key": edit.key, "value": edit.value, "by": by}
    with translated(), engine.begin() as connection:
        return {LetterId(*row) for row in connection.execute(_CLAIM, claimed)}


def finish(engine: Engine, letters: Sequence[LetterId]) -> None:
    """Mark dead letters as sent. Blocks.

    Raises:
        Unavailable: the database does not answer.
    """
    if letters:
        with translated(), engine.begin() as connection:
            connection.execute(_FINISH, _named(letters))


def find_replays(engine: Engine, letters: Collection[LetterId]) -> dict[LetterId, Replay]:
    """Look up which of some dead letters were claimed or sent. Blocks.

    Raises:
        Unavailable: the database does not answer.
        SchemaOutdated: there is no such table.
    """
    with translated(), engine.connect() as connection:
        found = map(_replay, connection.execute(_FIND, _named(letters)))
        return {each.id: each for each in found}


def find_unfinished(engine: Engine) -> dict[LetterId, Replay]:
    """Look up what was claimed and not marked as sent. Blocks.

    Raises:
        Unavailable: the database does not answer.
        SchemaOutdated: there is no such table.
    """
    with translated(), engine.connect() as connection:
        found = map(_replay, connection.execute(_UNFINISHED))
        return {each.id: each for each in found}


def _named(letters: Collection[LetterId]) -> dict[str, object]:
    rows = [
        {"topic": topic, "partition": partition, "kafka_offset": offset}
        for topic, partition, offset in letters
    ]
    return {"letters": rows}


def _replay(row: Row[tuple[object, ...]]) -> Replay:
    return Replay(
        id=LetterId(row.topic, row.partition, row.kafka_offset),
        edited_key=row.edited_key,
        edited_value=row.edited_value,
        claimed_by=row.claimed_by,
        claimed_at=row.claimed_at,
        replayed_at=row.replayed_at,
    )
