"""Many rows in one statement: a JSON document that jsonb_to_recordset() turns into a table.

The text of such a statement does not depend on the number of rows, so that SQLAlchemy compiles it
once, psycopg prepares it once, and a batch costs one round trip. One document is three times faster
than one array for each column, and nothing is rounded: JSON's numbers are decimals of any length.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnClause, TableValuedAlias, bindparam, column, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import InstrumentedAttribute


def recordset(
    name: str,
    *columns: InstrumentedAttribute[Any],
    extra: Sequence[ColumnClause[Any]] = (),
) -> TableValuedAlias:
    """Return a table whose rows are the parameter `name`: a list of dicts by column name.

    Its columns have the names and the types of the given ones; `extra` ones are of no table. What
    a row leaves out is null.
    """
    rows = func.jsonb_to_recordset(bindparam(name, type_=JSONB))
    typed = (column(c.key, c.type) for c in columns)
    return rows.table_valued(*typed, *extra).render_derived(name, with_types=True)


def to_json(value: object) -> str:
    """Write the rows of a table, or anything else; there may be times and decimals in it."""
    return msgspec.json.encode(value).decode()
