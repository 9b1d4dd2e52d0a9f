"""What nearly every batch adds, in one statement.

A commit waits for the server as seldom as it can: with small batches the waiting is what it costs.
The text of the statement is always the same; what a batch does not bring is an empty list in it.
"""

from sqlalchemy import Connection

from flagpost.core.effects import Effects
from flagpost.postgres import decisions, journal, spread, totals

_ADD = decisions.INSERT.add_cte(
    journal.INSERT.cte("added_segments"),
    spread.INSERT.cte("added_spread"),
    totals.INSERT.cte("added_totals"),
)


def are_in(effects: Effects) -> bool:
    """Say whether there is anything to add."""
    return bool(effects.segments or effects.flagged or effects.spread or effects.totals)


def add(connection: Connection, group: str, effects: Effects) -> int:
    """Add journal segments, flagged transactions, totals, and counts of how features spread.

    Returns:
        How many flagged transactions were left out because their id is taken.
    """
    added = connection.execute(
        _ADD,
        {
            **journal.parameters(group, effects.segments),
            **decisions.parameters(effects.flagged),
            **spread.parameters(group, effects.spread),
            **totals.parameters(group, effects.totals),
        },
    )
    return len(effects.flagged) - added.rowcount
