"""The daily feed of impressions and clicks."""

from collections.abc import Sequence

from sqlalchemy import Engine, func, select
from sqlalchemy.dialects.postgresql import insert

from flagpost.marketing import MarketingDay as Day
from flagpost.postgres.driver_errors import translated
from flagpost.postgres.recordset import recordset
from flagpost.postgres.tables import MarketingDay

_COLUMNS = (MarketingDay.event_day, MarketingDay.impressions, MarketingDay.clicks)
_insert = insert(MarketingDay).from_select(list(_COLUMNS), select(recordset("days", *_COLUMNS)))
_STORE = _insert.on_conflict_do_update(
    index_elements=[MarketingDay.event_day],
    set_={
        "impressions": _insert.excluded.impressions,
        "clicks": _insert.excluded.clicks,
        "loaded_at": func.now(),
    },
)


def store_marketing(engine: Engine, days: Sequence[Day]) -> None:
    """Store days, in place of what was known of them, all or none. Blocks.

    Raises:
        Unavailable: the database does not answer.
        SchemaOutdated: there is no such table.
        BadConfiguration: this user may not write it.
    """
    with translated(), engine.begin() as connection:
        connection.execute(_STORE, {"days": days})
