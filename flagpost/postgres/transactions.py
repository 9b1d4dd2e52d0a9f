"""What the tables have of transactions, by their ids."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, Select, select
from sqlalchemy.orm import InstrumentedAttribute

from flagpost.labelling.completion import KnownTransaction
from flagpost.postgres.driver_errors import translated
from flagpost.postgres.recordset import recordset
from flagpost.postgres.tables import FraudLabel, FraudScore, FraudTransaction

_wanted = recordset("wanted", FraudTransaction.transaction_id)


def _known(
    table: type[FraudTransaction | FraudScore | FraudLabel], *order: InstrumentedAttribute[Any]
) -> Select[str, str | None, str | None, datetime]:
    return (
        select(table.transaction_id, table.user_id, table.terminal_id, table.ts)
        .join_from(_wanted, table, table.transaction_id == _wanted.c.transaction_id)
        .order_by(*order)
    )


_KNOWN = (
    _known(FraudLabel, FraudLabel.known_at),
    _known(FraudScore, FraudScore.scored_at),
    _known(FraudTransaction),
)
"""Where to look: what is found later comes before what was found earlier."""


def find_transactions(engine: Engine, ids: Collection[str]) -> dict[str, KnownTransaction]:
    """Find transactions that are flagged, kept or labelled; of others nothing is stored. Blocks.

    Raises:
        Unavailable: the database does not answer.
        SchemaOutdated: tables or columns are missing.
        BadConfiguration: the user may not read them.
    """
    wanted = {"wanted": [{"transaction_id": each} for each in ids]}
    found = dict[str, KnownTransaction]()
    with translated(), engine.connect() as connection:
        for query in _KNOWN:
            for transaction_id, user_id, terminal_id, time in connection.execute(query, wanted):
                found[transaction_id] = KnownTransaction(user_id, terminal_id, time)
    return found
