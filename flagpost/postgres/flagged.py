"""The flagged transactions as a table for people."""

from datetime import datetime
from typing import Final

import numpy as np
import pandas as pd
from pandas.api.extensions import ExtensionDtype
from sqlalchemy import Engine, select

from flagpost.postgres.driver_errors import translated
from flagpost.postgres.tables import FraudTransaction

_TEXT: Final = pd.StringDtype(na_value=np.nan)
_TIME: Final = pd.DatetimeTZDtype("us", "UTC")
_DTYPES: Final[dict[str, ExtensionDtype | np.dtype]] = {
    "transaction_id": _TEXT,
    "user_id": _TEXT,
    "terminal_id": _TEXT,
    "ts": _TIME,
    "amount": np.dtype(np.float64),
    "fraud_probability": np.dtype(np.float64),
    "risk_level": _TEXT,
    "reasons": np.dtype(object),
    "model_version": _TEXT,
    "topic": _TEXT,
    "partition": np.dtype(np.int64),
    "kafka_offset": np.dtype(np.int64),
    "scored_at": _TIME,
    "features": np.dtype(object),
}
"""Set always: of no rows, or of nulls alone, pandas would take other ones."""


def flagged(engine: Engine, since: datetime | None = None) -> pd.DataFrame:
    """Read the flagged transactions, the latest event last; blocks.

    Args:
        engine: of the database that the scorer writes to.
        since: leaves out transactions that happened before it.

    Returns:
        One row each with the columns of `scores.fraud_transactions`; `ts` is in UTC, `reasons` a
        list of dictionaries and `features` a list in the order of `core.features.FEATURE_NAMES`.
        Columns have the same types whether there are rows or none.

    Raises:
        TypeError: an argument is of another type; the message says how to make it right.
        Unavailable: the database does not answer.
        SchemaOutdated: there is no such table.
    """
    _refuse_other_types(engine, since)
    query = select(FraudTransaction).order_by(FraudTransaction.ts, FraudTransaction.transaction_id)
    if since is not None:
        query = query.where(FraudTransaction.ts >= since)
    with translated(), engine.connect() as connection:
        return pd.read_sql(query, connection).astype(_DTYPES)


def _refuse_other_types(engine: object, since: object) -> None:
    if not isinstance(engine, Engine):
        msg = (
            f"engine is a {type(engine).__name__}; make one: "
            "flagpost.postgres.engine.create_engine(url)"
        )
        raise TypeError(msg)
    if since is not None and not isinstance(since, datetime):
        msg = (
            f"since is a {type(since).__name__}; make it a datetime: "
            'pandas.Timestamp(since, tz="UTC")'
        )
        raise TypeError(msg)
