"""How features spread: the counts of each hour, and the training data that they are compared with.

A row belongs to one partition, so members of a group never wait for each other's rows: whoever adds
to it has passed the fence of that partition in the same transaction.
"""

from collections.abc import Sequence

from sqlalchemy import Engine, TextClause, func, select
from sqlalchemy.dialects.postgresql import Insert, insert

from flagpost.core.effects import SpreadCounts
from flagpost.core.spread import TrainedSpread, first_bins
from flagpost.postgres.driver_errors import translated
from flagpost.postgres.recordset import recordset
from flagpost.postgres.tables import HourlySpread, TrainingSpread
from flagpost.postgres.times import to_datetime

_KEY = (
    HourlySpread.hour,
    HourlySpread.model_version,
    HourlySpread.topic,
    HourlySpread.partition,
    HourlySpread.group,
)
_COLUMNS = (*_KEY, HourlySpread.counts)
_spread = recordset("spread", *_COLUMNS)

_INTRODUCE = insert(TrainingSpread).on_conflict_do_nothing()


def insertion(condition: TextClause) -> Insert:
    """Add counts to those of their hours under a condition."""
    added = insert(HourlySpread).from_select(list(_COLUMNS), select(_spread).where(condition))
    # Written out here it takes half the time of a function in the database, which plans it once.
    pairs = func.unnest(HourlySpread.counts, added.excluded.counts)
    bins = pairs.table_valued("before", "added").render_derived("bin")
    sums = func.array(select(bins.c.before + bins.c.added).scalar_subquery())
    return added.on_conflict_do_update(index_elements=list(_KEY), set_={"counts": sums})


def parameters(group: str, spread: Sequence[SpreadCounts]) -> dict[str, object]:
    """Return what `insertion` asks for: at most one entry for each partition and hour."""
    return {"spread": [_as_row(group, each) for each in spread]}


def introduce_model(engine: Engine, model_version: str, spreads: Sequence[TrainedSpread]) -> None:
    """Store the bins of a model and its training data; does nothing when they are there. Blocks.

    Raises:
        Unavailable: the database does not answer.
        SchemaOutdated: there is no such table.
    """
    rows = [
        {
            "model_version": model_version,
            "feature": each.feature,
            "first_count": first + 1,
            "edges": each.edges,
            "shares": each.shares,
        }
        for first, each in zip(first_bins(spreads), spreads, strict=True)
    ]
    with translated(), engine.begin() as connection:
        connection.execute(_INTRODUCE, rows)


def _as_row(group: str, spread: SpreadCounts) -> dict[str, object]:
    return {
        "hour": to_datetime(spread.hour_us),
        "model_version": spread.model_version,
        "topic": spread.partition.topic,
        "partition": spread.partition.number,
        "group": group,
        "counts": spread.counts,
    }
