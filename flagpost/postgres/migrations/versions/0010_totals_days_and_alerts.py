"""Totals of all transactions by hour, the risk of each day, and what it calls for."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010"
down_revision = "0009"

TIME = sa.TIMESTAMP(timezone=True)
BIGINTS = postgresql.ARRAY(sa.BigInteger)


def upgrade() -> None:
    op.execute("CREATE SCHEMA IF NOT EXISTS raw")
    op.execute("COMMENT ON SCHEMA raw IS 'What others tell, as they tell it'")
    op.execute("CREATE SCHEMA IF NOT EXISTS alert")
    op.execute("COMMENT ON SCHEMA alert IS 'What the fraud score of a day calls for'")
    op.execute("COMMENT ON SCHEMA feature IS 'Totals of all transactions, and their features'")
    create_hourly_totals()
    create_reported_groups()
    create_marketing()
    create_levels()
    create_reported_totals()
    create_hourly_volume()
    create_label_daily()
    create_fraud_daily()
    create_daily_alert()


def create_hourly_totals() -> None:
    op.create_table(
        "hourly_totals",
        sa.Column(
            "counted_in", TIME, comment="Full hour of event time that the stream had come to"
        ),
        sa.Column("topic", sa.Text, comment="Kafka topic"),
        sa.Column("partition", sa.Integer, comment="Partition of the topic"),
        sa.Column("group", sa.Text, comment="Consumer group; groups share no state"),
        sa.Column("model_version", sa.Text, comment="Model that scored them"),
        sa.Column(
            "hour",
            BIGINTS,
            nullable=False,
            comment="Hour in which the transactions happened, counted from 1970",
        ),
        sa.Column(
            "fraud_reason",
            postgresql.ARRAY(sa.Text),
            nullable=False,
            comment="Strongest reason they were flagged for; NORMAL: they were not",
        ),
        sa.Column("tx_count", BIGINTS, nullable=False, comment="Transactions"),
        sa.Column(
            "amount_cents", BIGINTS, nullable=False, comment="Sum of their amounts, in cents"
        ),
        sa.Column(
            "fraud_probability_millionths",
            BIGINTS,
            nullable=False,
            comment="Sum of their fraud probabilities, each rounded to a millionth",
        ),
        sa.PrimaryKeyConstraint("counted_in", "topic", "partition", "group", "model_version"),
        sa.CheckConstraint(
            "cardinality(hour) = ALL (ARRAY[cardinality(fraud_reason), cardinality(tx_count),"
            " cardinality(amount_cents), cardinality(fraud_probability_millionths)])",
            name="hourly_totals_columns_even",
        ),
        schema="feature",
        comment="Totals of all accepted transactions, by the hour in which they happened and by "
        "what was found in them: the columns of each row's cells are arrays. They commit together "
        "with the decisions. feature.reported_totals has a row for each cell.",
    )
    # The row of the present hour changes with every batch: room beside it keeps that off the index.
    op.execute("ALTER TABLE feature.hourly_totals SET (fillfactor = 50)")


def create_reported_groups() -> None:
    op.create_table(
        "reported_groups",
        sa.Column("topic", sa.Text, primary_key=True, comment="Kafka topic"),
        sa.Column("group", sa.Text, nullable=False, comment="Consumer group"),
        schema="feature",
        comment="Where several groups score one topic: the one whose totals are shown. "
        "Without a row it is the one that has accepted the most transactions.",
    )


def create_marketing() -> None:
    op.create_table(
        "marketing_daily",
        sa.Column("event_day", sa.Date, primary_key=True, comment="Day, UTC"),
        sa.Column(
            "impressions", sa.BigInteger, nullable=False, comment="How often something was shown"
        ),
        sa.Column("clicks", sa.BigInteger, nullable=False, comment="How often it was clicked on"),
        sa.Column(
            "loaded_at",
            TIME,
            nullable=False,
            server_default=sa.func.now(),
            comment="When this was loaded last",
        ),
        sa.CheckConstraint(
            "clicks BETWEEN 0 AND impressions", name="marketing_daily_clicks_of_impressions"
        ),
        schema="raw",
        comment="Impressions and clicks of a day, loaded by flagpost load-marketing.",
    )


def create_levels() -> None:
    levels = op.create_table(
        "levels",
        sa.Column("alert_level", sa.Text, primary_key=True, comment="Name of the level"),
        sa.Column(
            "from_score",
            sa.Double,
            nullable=False,
            comment="Least fraud score of a day, from 0 to 1",
        ),
        sa.Column("action", sa.Text, nullable=False, comment="What to do on such a day"),
        sa.CheckConstraint("from_score BETWEEN 0 AND 1", name="levels_score_in_range"),
        sa.UniqueConstraint("from_score"),
        schema="alert",
        comment="Levels of alert: a day has the one with the greatest from_score that its "
        "fraud_score reaches. Change the rows as you like.",
    )
    op.bulk_insert(
        levels,
        [
            {"alert_level": "LOW", "from_score": 0.0, "action": "Ignore"},
            {"alert_level": "MEDIUM", "from_score": 0.015, "action": "Monitor"},
            {"alert_level": "HIGH", "from_score": 0.03, "action": "Freeze high-value tx"},
        ],
    )


def create_reported_totals() -> None:
    op.execute("""
        CREATE VIEW feature.all_totals AS
        SELECT to_timestamp(cell.hour * 3600) AS hour, cell.fraud_reason, topic, partition,
               "group", model_version, cell.tx_count, cell.amount_cents,
               cell.fraud_probability_millionths
        FROM feature.hourly_totals AS stored
        CROSS JOIN unnest(
            stored.hour, stored.fraud_reason, stored.tx_count, stored.amount_cents,
            stored.fraud_probability_millionths
        ) AS cell (hour, fraud_reason, tx_count, amount_cents, fraud_probability_millionths)
    """)
    op.execute("""
        CREATE VIEW feature.reported_totals AS
        SELECT * FROM feature.all_totals
        WHERE (topic, "group") IN (
            SELECT DISTINCT ON (topic) topic, counted."group"
            FROM (
                SELECT topic, "group", sum(tx_count) AS tx_count
                FROM feature.all_totals GROUP BY topic, "group"
            ) AS counted
            LEFT JOIN feature.reported_groups AS chosen USING (topic)
            ORDER BY topic, (counted."group" = chosen."group") DESC NULLS LAST,
                     counted.tx_count DESC, counted."group"
        )
    """)
    columns = {
        "hour": "Full hour in which the transactions happened",
        "fraud_reason": "Strongest reason they were flagged for; NORMAL: they were not",
        "topic": "Kafka topic",
        "partition": "Partition of the topic",
        '"group"': "Consumer group; groups share no state",
        "model_version": "Model that scored them",
        "tx_count": "Transactions",
        "amount_cents": "Sum of their amounts, in cents",
        "fraud_probability_millionths": "Sum of their fraud probabilities, in millionths",
    }
    comment_view(
        "feature.all_totals", "The cells of feature.hourly_totals, a row for each", **columns
    )
    comment_view(
        "feature.reported_totals",
        "feature.all_totals of one consumer group for each topic: see feature.reported_groups",
        **columns,
    )


def create_hourly_volume() -> None:
    # Amounts have two digits behind the point, whatever they are divided by.
    op.execute("""
        CREATE VIEW feature.hourly_volume AS
        SELECT hour, tx_count::bigint, (cents / 100)::numeric(20, 2) AS amount,
               flagged_count::bigint, (flagged_cents / 100)::numeric(20, 2) AS flagged_amount,
               flagged_count::float8 / tx_count::float8 AS flag_rate
        FROM (
            SELECT hour, sum(tx_count) AS tx_count, sum(amount_cents) AS cents,
                   coalesce(sum(tx_count) FILTER (WHERE fraud_reason <> 'NORMAL'), 0)
                       AS flagged_count,
                   coalesce(sum(amount_cents) FILTER (WHERE fraud_reason <> 'NORMAL'), 0)
                       AS flagged_cents
            FROM feature.reported_totals
            GROUP BY hour
        ) AS hourly
    """)
    comment_view(
        "feature.hourly_volume",
        "All accepted transactions of each hour, and what was flagged of them",
        hour="Full hour in which the transactions happened",
        tx_count="Accepted transactions: repeated deliveries and bad messages are none",
        amount="Sum of their amounts, in the currency of the stream",
        flagged_count="Flagged transactions: by the model or by the balance rule",
        flagged_amount="Sum of the amounts of these",
        flag_rate="Share of the transactions that was flagged, from 0 to 1",
    )


def create_label_daily() -> None:
    op.execute("""
        CREATE VIEW label.fraud_label_daily AS
        SELECT (ts AT TIME ZONE 'UTC')::date AS event_day, count(*) AS labelled_count,
               count(*) FILTER (WHERE is_fraud) AS fraud_count,
               bool_or(is_fraud)::int AS fraud_label
        FROM label.latest_fraud_labels
        GROUP BY event_day
    """)
    comment_view(
        "label.fraud_label_daily",
        "What is known now about the transactions of each day that has labels",
        event_day="Day on which the transactions happened, UTC",
        labelled_count="Transactions with a label",
        fraud_count="Those that are known as fraud",
        fraud_label="1 if there is one, else 0",
    )


def create_fraud_daily() -> None:
    # One division of whole numbers each: what comes out is the double nearest to the true value.
    op.execute("""
        CREATE VIEW feature.training_fraud_daily AS
        SELECT event_day, tx_count::bigint,
               cents::float8 / (100 * tx_count)::float8 AS avg_tx_amount,
               risky_tx_count::bigint,
               clicks::float8 / nullif(impressions, 0) AS ctr,
               millionths::float8 / (1000000 * tx_count)::float8 AS fraud_score,
               coalesce(fraud_label, 0) AS fraud_label, fraud_reason
        FROM (
            SELECT event_day, sum(n) AS tx_count, sum(cents) AS cents,
                   sum(millionths) AS millionths,
                   coalesce(sum(n) FILTER (WHERE fraud_reason <> 'NORMAL'), 0) AS risky_tx_count,
                   coalesce(
                       (array_agg(fraud_reason ORDER BY n DESC, fraud_reason)
                           FILTER (WHERE fraud_reason <> 'NORMAL'))[1],
                       'NORMAL'
                   ) AS fraud_reason
            FROM (
                SELECT (hour AT TIME ZONE 'UTC')::date AS event_day, fraud_reason,
                       sum(tx_count) AS n, sum(amount_cents) AS cents,
                       sum(fraud_probability_millionths) AS millionths
                FROM feature.reported_totals
                GROUP BY event_day, fraud_reason
            ) AS by_reason
            GROUP BY event_day
        ) AS by_day
        LEFT JOIN raw.marketing_daily USING (event_day)
        LEFT JOIN label.fraud_label_daily USING (event_day)
    """)
    comment_view(
        "feature.training_fraud_daily",
        "All accepted transactions of each day, flagged or not; exact at every moment",
        event_day="Day on which the transactions happened, UTC",
        tx_count="Accepted transactions: repeated deliveries and bad messages are none",
        avg_tx_amount="Mean amount, in the currency of the stream",
        risky_tx_count="Flagged transactions: by the model or by the balance rule",
        ctr="Clicks for each impression, from raw.marketing_daily; null without it",
        fraud_score="Mean fraud probability of the transactions, from 0 to 1",
        fraud_label="1 if a transaction of the day is known as fraud by now, else 0",
        fraud_reason="Strongest reason of most flagged transactions, of equally many the first in "
        "the alphabet; NORMAL on a day without any",
    )


def create_daily_alert() -> None:
    op.execute("""
        CREATE VIEW alert.daily_fraud_alert AS
        SELECT event_day, fraud_score, alert_level, action
        FROM feature.training_fraud_daily
        LEFT JOIN LATERAL (
            SELECT alert_level, action FROM alert.levels
            WHERE from_score <= fraud_score ORDER BY from_score DESC LIMIT 1
        ) AS reached ON true
    """)
    comment_view(
        "alert.daily_fraud_alert",
        "What the fraud score of each day calls for, by alert.levels",
        event_day="Day on which the transactions happened, UTC",
        fraud_score="Mean fraud probability of its transactions, from 0 to 1",
        alert_level="Level that the score reaches; null if it reaches none",
        action="What to do on such a day",
    )


def comment_view(view: str, comment: str, **columns: str) -> None:
    op.execute(f"COMMENT ON VIEW {view} IS '{comment}'")
    for name, meaning in columns.items():
        op.execute(f"COMMENT ON COLUMN {view}.{name} IS '{meaning}'")
