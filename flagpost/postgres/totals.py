"""The totals of each hour, which days, alerts and comparisons of models are sums of.

A row belongs to one partition, so members of a group never wait for each other's rows: whoever adds
to it has passed the fence of that partition in the same transaction.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, Text, column, func, select, true
from sqlalchemy.dialects.postgresql import ARRAY, BIGINT, insert

from flagpost.core.effects import HourlyTotals
from flagpost.postgres.recordset import typed_recordset
from flagpost.postgres.tables import HourlyTotal
from flagpost.postgres.times import to_datetime

_SUMS = (
    HourlyTotal.tx_count,
    HourlyTotal.amount_cents,
    HourlyTotal.fraud_probability_millionths,
)
_OF_ALL = (
    HourlyTotal.counted_in,
    HourlyTotal.topic,
    HourlyTotal.partition,
    HourlyTotal.group,
    HourlyTotal.model_version,
)
_KEY = (HourlyTotal.hour, HourlyTotal.fraud_reason, *_OF_ALL)

# A batch brings hundreds of rows in a replay: what they have in common is sent once, the rest as
# one array a column.
_sent = typed_recordset(
    "totals",
    *(column(each.key, each.type) for each in _OF_ALL),
    column("hour", ARRAY(BIGINT)),
    column("fraud_reason", ARRAY(Text)),
    *(column(each.key, ARRAY(BIGINT)) for each in _SUMS),
)
_IN_ROWS = ("hour", "fraud_reason", *(each.key for each in _SUMS))
_rows = (
    func.unnest(*(_sent.c[name] for name in _IN_ROWS))
    .table_valued(*_IN_ROWS)
    .render_derived("each_row")
)
_SECONDS_PER_HOUR = 3600
_insert = insert(HourlyTotal).from_select(
    list((*_KEY, *_SUMS)),
    select(
        func.to_timestamp(_rows.c.hour * _SECONDS_PER_HOUR),
        _rows.c.fraud_reason,
        *(_sent.c[each.key] for each in _OF_ALL),
        *(_rows.c[each.key] for each in _SUMS),
    ).join_from(_sent, _rows, true()),
)
_ADD = _insert.on_conflict_do_update(
    index_elements=list(_KEY), set_={each: each + _insert.excluded[each.key] for each in _SUMS}
)


def add(connection: Connection, group: str, totals: Sequence[HourlyTotals]) -> None:
    """Add to the totals of hours, at most one entry for each partition."""
    if totals:
        connection.execute(_ADD, {"totals": [_as_row(group, each) for each in totals]})


def _as_row(group: str, totals: HourlyTotals) -> dict[str, object]:
    return {
        "counted_in": to_datetime(totals.counted_in_us),
        "topic": totals.partition.topic,
        "partition": totals.partition.number,
        "group": group,
        "model_version": totals.model_version,
        **{name: getattr(totals, name) for name in _IN_ROWS},
    }
