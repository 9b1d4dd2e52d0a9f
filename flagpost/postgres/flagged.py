"""The flagged transactions as a table for people."""

from datetime import datetime
from typing import Final

import numpy as np
import pandas as pd
from sqlalchemy import Engine, select

from flagpost.postgres.driver_errors import translated
from flagpost.postgres.tables import FraudTransaction

_TEXT = pd.StringDtype(na_value=np.nan)
_DTYPES: Final = {
    str(FraudTransaction.transaction_id.key): _TEXT,
}


def flagged(engine: Engine, since: datetime | None = None) -> pd.DataFrame:
    """Read the flagged transactions, the latest event last; blocks.

    Args:
        engine: of the database that the scorer writes to.
        since: leaves out transactions that happened before it.

    Returns:
        One row each with the columns of `scores.fraud_transactions`; `ts` is in UTC, `reasons` a
        list of dictionaries and `features` a list in the order of `core.features.FEATURE_NAMES`.

    Raises:
        Unavailable: the database does not answer.
        SchemaOutdated: there is no such table.
    """
    query = select(FraudTransaction).order_by(FraudTransaction.ts, FraudTransaction.transaction_id)
    if since is not None:
        query = query.where(FraudTransaction.ts >= since)
    with translated(), engine.connect() as connection:
        return pd.read_sql(query, connection)
