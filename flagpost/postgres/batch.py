"""What a batch does, in one statement: if all its positions may move they do, and rows are added.

A commit waits for the server as seldom as it can: with small batches the waiting is what it costs.
The text of the statement is always the same; what a batch does not bring is an empty list in it.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, select, text
from sqlalchemy.dialects.postgresql.psycopg import dialect

from flagpost.core.effects import Effects
from flagpost.errors import Fenced
from flagpost.events import Partition
from flagpost.postgres import advances, decisions, journal, labels, spread, totals
from flagpost.postgres.recordset import to_json

_ALL_MINE = text("EXISTS (SELECT FROM all_mine)")
_new_labels = labels.insertion(_ALL_MINE).cte("new_labels")
_moving = advances.moving(_new_labels)
_added = decisions.insertion(_ALL_MINE).returning(func.now()).cte("added_flagged")
WRITE = select(
    advances.MINE.c.topic,
    advances.MINE.c.partition,
    func.coalesce(_moving.c.n_known, text("0")).label("n_known"),
    select(func.count()).select_from(_added).scalar_subquery().label("n_added"),
).select_from(
    advances.MINE.outerjoin(_moving, advances.same_partition(_moving, advances.MINE))
).add_cte(
    advances.ALL_MINE,
    _new_labels,
    advances.move_on(_moving).cte("moved_on"),
    journal.insertion(_ALL_MINE).cte("added_segments"),
    spread.insertion(_ALL_MINE).cte("added_spread"),
    totals.insertion(_ALL_MINE).cte("added_totals"),
    _added,
)  # fmt: skip
"""Asks for what `values_of` returns, and returns what `written` looks at."""

# Put together once. To look its text up by its clauses would take longer than to send it.
_TEXT = str(WRITE.compile(dialect=dialect()))


class Written(NamedTuple):
    """What was stored already: labels, and the ids of flagged transactions."""

    n_labels_known: int
    n_flagged_left_out: int


def write(connection: Connection, group: str, effects: Effects) -> Written:
    """Move positions on, at most one advance for each, and add what nearly every batch brings.

    That is journal segments, labels, flagged transactions, totals, and counts of how features
    spread. Labels that are stored already count as duplicates, not as clean. Either all of it is
    done or nothing, also where the connection is in no transaction. Without advances it is nothing.

    Raises:
        Fenced: a partition is no longer ours, or not where we left it; nothing was done.
    """
    rows = connection.exec_driver_sql(_TEXT, values_of(group, effects)).all()
    return written(rows, effects)


def values_of(group: str, effects: Effects) -> dict[str, str | bytes]:
    """Return the parameters of `WRITE`: bytes, and texts that are JSON where they are rows."""
    parameters = {
        **advances.parameters(group, effects.advances, effects.labels),
        **journal.parameters(group, effects.segments),
        **labels.parameters(effects.labels),
        **decisions.parameters(effects.flagged),
        **spread.parameters(group, effects.spread),
        **totals.parameters(group, effects.totals),
    }
    return {name: v if isinstance(v, str | bytes) else to_json(v) for name, v in parameters.items()}


def written(rows: Sequence[Sequence[Any]], effects: Effects) -> Written:
    """Say what `WRITE` has done by the rows that it returned.

    Raises:
        Fenced: a partition is no longer ours, or not where we left it; nothing was done.
    """
    if len(rows) < len(effects.advances):
        mine = {Partition(topic, number) for topic, number, _, _ in rows}
        raise Fenced({advance.partition for advance in effects.advances} - mine)
    n_added = rows[0][-1] if rows else 0
    n_known = sum(n for _, _, n, _ in rows)
    return Written(n_known, len(effects.flagged) - n_added)
