"""The totals of each hour, which days, alerts and comparisons of models are sums of.

A row belongs to one partition, so members of a group never wait for each other's rows: whoever adds
to it has passed the fence of that partition in the same transaction. It holds its cells, an hour
and a reason each, as arrays: in a replay a batch brings hundreds of them, and a row for each would
take six times as long.
"""

from collections.abc import Sequence

from sqlalchemy import TextClause, TextualSelect, bindparam, column, text
from sqlalchemy.dialects.postgresql import JSONB

from flagpost.core.effects import HourlyTotals
from flagpost.postgres.times import to_datetime

# One subquery for five columns is more than SQLAlchemy's insert can say.
_INSERT = """
    INSERT INTO feature.hourly_totals AS stored (
        counted_in, topic, partition, "group", model_version,
        hour, fraud_reason, tx_count, amount_cents, fraud_probability_millionths
    )
    SELECT counted_in, topic, partition, "group", model_version,
           hour, fraud_reason, tx_count, amount_cents, fraud_probability_millionths
    FROM jsonb_to_recordset(:totals) AS totals (
        counted_in timestamptz, topic text, partition int, "group" text, model_version text,
        hour bigint[], fraud_reason text[], tx_count bigint[], amount_cents bigint[],
        fraud_probability_millionths bigint[]
    )
    WHERE {condition}
    ON CONFLICT (counted_in, topic, partition, "group", model_version) DO UPDATE SET (
        hour, fraud_reason, tx_count, amount_cents, fraud_probability_millionths
    ) = (
        SELECT array_agg(hour ORDER BY hour, reason), array_agg(reason ORDER BY hour, reason),
               array_agg(n ORDER BY hour, reason), array_agg(cents ORDER BY hour, reason),
               array_agg(millionths ORDER BY hour, reason)
        FROM (
            SELECT hour, reason, sum(n)::bigint AS n, sum(cents)::bigint AS cents,
                   sum(millionths)::bigint AS millionths
            FROM unnest(
                stored.hour || excluded.hour,
                stored.fraud_reason || excluded.fraud_reason,
                stored.tx_count || excluded.tx_count,
                stored.amount_cents || excluded.amount_cents,
                stored.fraud_probability_millionths || excluded.fraud_probability_millionths
            ) AS cell (hour, reason, n, cents, millionths)
            GROUP BY hour, reason
        ) AS summed
    )
    RETURNING partition
"""


def insertion(condition: TextClause) -> TextualSelect:
    """Add to the totals under a condition."""
    insert = text(_INSERT.format(condition=condition))
    return insert.bindparams(bindparam("totals", type_=JSONB)).columns(column("partition"))


def parameters(group: str, totals: Sequence[HourlyTotals]) -> dict[str, object]:
    """Return what `insertion` asks for: at most one entry a partition."""
    return {"totals": [_as_row(group, each) for each in totals]}


def _as_row(group: str, totals: HourlyTotals) -> dict[str, object]:
    return {
        "counted_in": to_datetime(totals.counted_in_us),
        "topic": totals.partition.topic,
        "partition": totals.partition.number,
        "group": group,
        "model_version": totals.model_version,
        "hour": totals.hour,
        "fraud_reason": totals.fraud_reason,
        "tx_count": totals.tx_count,
        "amount_cents": totals.amount_cents,
        "fraud_probability_millionths": totals.fraud_probability_millionths,
    }
