"""Answers to what people ask, and the same for analysts, without names.

A view of the schema `analyst` has the name of the one that it shows, and masked ids where that has
ids. See 0008 for how they are masked.
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

DAY = "Day on which the transactions happened, UTC"
FLAGGED = "Flagged transactions"
MASKED = {
    "transaction_id": "Stands for the id of the transaction, the same in all views here",
    "user_id": "Stands for the customer, the same in all views here",
    "terminal_id": "Stands for the terminal, the same in all views here; null when not named",
}
SHOWN_TO_ANALYSTS = (
    "feature.hourly_volume",
    "feature.training_fraud_daily",
    "alert.daily_fraud_alert",
    "alert.amount_at_risk",
    "label.fraud_label_daily",
    "label.terminals_by_fraud",
    "label.customers_by_fraud",
    "scores.daily_precision",
    "scores.daily_time_to_flag",
    "scores.model_versions",
    "scores.fraud_scores",
)
"""Of the last one, all but the array of features; the labelled set has them by name."""


def upgrade() -> None:
    create_amount_at_risk()
    create_by_fraud("terminals_by_fraud", "terminal_id", "Terminal of the transactions")
    create_by_fraud("customers_by_fraud", "user_id", "Customer who paid")
    create_daily_precision()
    create_daily_time_to_flag()
    create_model_versions()
    for view in SHOWN_TO_ANALYSTS:
        show_to_analysts(view)
    create_masked_dataset()


def create_amount_at_risk() -> None:
    op.execute("""
        CREATE VIEW alert.amount_at_risk AS
        SELECT (flagged.ts AT TIME ZONE 'UTC')::date AS event_day, sum(amount) AS flagged_amount,
               coalesce(sum(amount) FILTER (WHERE is_fraud), 0) AS fraud_amount,
               coalesce(sum(amount) FILTER (WHERE NOT is_fraud), 0) AS genuine_amount,
               coalesce(sum(amount) FILTER (WHERE is_fraud IS NULL), 0) AS open_amount
        FROM scores.fraud_transactions AS flagged
        LEFT JOIN label.latest_fraud_labels USING (transaction_id)
        GROUP BY event_day
    """)
    comment_view(
        "alert.amount_at_risk",
        "Amounts of the flagged transactions of each day, by what is known of them now",
        event_day=DAY,
        flagged_amount="Sum of the amounts that were flagged, in the currency of the stream",
        fraud_amount="What is known as fraud of it",
        genuine_amount="What is known as genuine of it",
        open_amount="What nothing is known of",
    )


def create_by_fraud(name: str, column: str, meaning: str) -> None:
    op.execute(f"""
        CREATE VIEW label.{name} AS
        SELECT known.{column}, count(*) AS fraud_count,
               count(flagged.transaction_id) AS flagged_count,
               coalesce(sum(flagged.amount), 0) AS flagged_amount,
               min(known.ts) AS first_fraud_at, max(known.ts) AS last_fraud_at
        FROM label.latest_fraud_labels AS known
        LEFT JOIN scores.fraud_transactions AS flagged USING (transaction_id)
        WHERE known.is_fraud AND known.{column} IS NOT NULL
        GROUP BY known.{column}
    """)  # noqa: S608 - our own names
    comment_view(
        f"label.{name}",
        "What is known as fraud now; ORDER BY fraud_count DESC for the worst",
        **{column: meaning},
        fraud_count="Transactions that are known as fraud",
        flagged_count="Those of them that had been flagged",
        flagged_amount="Sum of the amounts of these; of others it is not kept",
        first_fraud_at="When the first of the frauds happened",
        last_fraud_at="When the last of the frauds happened",
    )


def create_daily_precision() -> None:
    op.execute("""
        CREATE VIEW scores.daily_precision AS
        SELECT event_day, flagged_count, fraud_count, genuine_count,
               flagged_count - fraud_count - genuine_count AS open_count, missed_count,
               fraud_count::float8 / nullif(fraud_count + genuine_count, 0) AS precision,
               fraud_count::float8 / nullif(flagged_count, 0) AS precision_at_least,
               fraud_count::float8 / nullif(fraud_count + missed_count, 0) AS recall
        FROM (
            SELECT (coalesce(flagged.ts, known.ts) AT TIME ZONE 'UTC')::date AS event_day,
                   count(flagged.ts) AS flagged_count,
                   count(flagged.ts) FILTER (WHERE is_fraud) AS fraud_count,
                   count(flagged.ts) FILTER (WHERE NOT is_fraud) AS genuine_count,
                   count(*) FILTER (WHERE is_fraud AND flagged.ts IS NULL) AS missed_count
            FROM scores.fraud_transactions AS flagged
            FULL JOIN label.latest_fraud_labels AS known USING (transaction_id)
            GROUP BY event_day
        ) AS counted
    """)
    comment_view(
        "scores.daily_precision",
        "How good the flags of each day were, by what is known now",
        event_day=DAY,
        flagged_count=FLAGGED,
        fraud_count="Those that are known as fraud",
        genuine_count="Those that are known as genuine",
        open_count="Those that nothing is known of",
        missed_count="Transactions that are known as fraud and were not flagged",
        precision="Share of frauds among the flagged ones with a label; null without any",
        precision_at_least="Share of frauds if all without a label are genuine",
        recall="Share of the known frauds that was flagged; null without any",
    )


def create_daily_time_to_flag() -> None:
    op.execute("""
        CREATE VIEW scores.daily_time_to_flag AS
        SELECT (ts AT TIME ZONE 'UTC')::date AS event_day, count(*) AS flagged_count,
               percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) AS median_seconds,
               percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds) AS p95_seconds,
               max(seconds) AS longest_seconds
        FROM (
            SELECT ts, extract(epoch FROM scored_at - ts)::float8 AS seconds
            FROM scores.fraud_transactions
        ) AS flagged
        GROUP BY event_day
    """)
    comment_view(
        "scores.daily_time_to_flag",
        "How long after they happened the transactions of a day were flagged. In a replay of the "
        "past that is as long as the past",
        event_day=DAY,
        flagged_count=FLAGGED,
        median_seconds="Half of them were flagged within this time",
        p95_seconds="95 % of them were flagged within this time",
        longest_seconds="All of them were flagged within this time",
    )


def create_model_versions() -> None:
    op.execute("""
        CREATE VIEW scores.model_versions AS
        SELECT model_version, topic, "group", first_hour, last_hour, tx_count, flagged_count,
               flagged_count::float8 / tx_count::float8 AS flag_rate, fraud_score,
               coalesce(fraud_count, 0) AS fraud_count, coalesce(genuine_count, 0) AS genuine_count,
               fraud_count::float8 / nullif(fraud_count + genuine_count, 0) AS precision
        FROM (
            SELECT model_version, topic, "group", min(hour) AS first_hour, max(hour) AS last_hour,
                   sum(tx_count)::bigint AS tx_count,
                   coalesce(sum(tx_count) FILTER (WHERE fraud_reason <> 'NORMAL'), 0)::bigint
                       AS flagged_count,
                   sum(fraud_probability_millionths)::float8
                       / (1000000 * sum(tx_count))::float8 AS fraud_score
            FROM feature.all_totals
            GROUP BY model_version, topic, "group"
        ) AS counted
        LEFT JOIN (
            SELECT model_version, flagged.topic,
                   count(*) FILTER (WHERE is_fraud) AS fraud_count,
                   count(*) FILTER (WHERE NOT is_fraud) AS genuine_count
            FROM scores.fraud_transactions AS flagged
            JOIN label.latest_fraud_labels USING (transaction_id)
            GROUP BY model_version, flagged.topic
        ) AS judged USING (model_version, topic)
    """)
    comment_view(
        "scores.model_versions",
        "Models side by side: what each has scored, and how good its flags were. Where two models "
        "flag the same transaction, the row is of the first, and so is the label",
        model_version="Model",
        topic="Kafka topic",
        group="Consumer group",
        first_hour="First hour of the transactions that it has scored",
        last_hour="Last hour of these",
        tx_count="Transactions that it has scored",
        flagged_count="Those that it has flagged",
        flag_rate="Share that it has flagged, from 0 to 1",
        fraud_score="Mean fraud probability, from 0 to 1",
        fraud_count="Flagged transactions that are known as fraud now",
        genuine_count="Flagged transactions that are known as genuine now",
        precision="Share of frauds among the flagged ones with a label; null without any",
    )


def show_to_analysts(view: str) -> None:
    """Make a view of the same name, with masked ids where it has ids, and the same comments."""
    connection = op.get_bind()
    rows = connection.execute(
        sa.text(
            "SELECT attname, col_description(attrelid, attnum), attname = 'features'"
            " FROM pg_attribute WHERE attrelid = CAST(:view AS regclass) AND attnum > 0"
            " AND NOT attisdropped ORDER BY attnum"
        ),
        {"view": view},
    )
    columns = {name: comment for name, comment, is_left_out in rows if not is_left_out}
    comment = connection.scalar(
        sa.text("SELECT obj_description(CAST(:view AS regclass))"), {"view": view}
    )
    name = f"analyst.{view.partition('.')[2]}"
    shown = ", ".join(
        f"{mask(column)} AS masked_{column}" if column in MASKED else f'"{column}"'
        for column in columns
    )
    op.execute(
        f"CREATE VIEW {name} AS SELECT {shown} FROM {view} CROSS JOIN analyst.masking_key"  # noqa: S608 - our own names
    )
    meanings = {
        f"masked_{column}" if column in MASKED else column: MASKED.get(column, meaning)
        for column, meaning in columns.items()
    }
    comment_view(name, comment, **meanings)


def create_masked_dataset() -> None:
    """Let analysts ask for a share and a moment: so the function reads with its owner's rights."""
    columns = {
        name: (type_, comment)
        for name, type_, comment in op.get_bind().execute(
            sa.text(
                "SELECT attname, format_type(atttypid, NULL), col_description(attrelid, attnum)"
                " FROM pg_attribute WHERE attnum > 0"
                " AND attrelid = 'feature.training_fraud_dataset'::regclass ORDER BY attnum"
            )
        )
    }
    shown = {name: f"masked_{name}" if name in MASKED else name for name in columns}
    types = ", ".join(f"{shown[name]} {type_}" for name, (type_, _) in columns.items())
    values = ", ".join(mask(name) if name in MASKED else name for name in columns)
    op.execute(f"""
        CREATE FUNCTION analyst.training_fraud_dataset(
            fraud_share float8 DEFAULT 0.2,
            known_by timestamptz DEFAULT now(),
            settled_after interval DEFAULT '7 days'
        ) RETURNS TABLE ({types})
        LANGUAGE sql STABLE SECURITY DEFINER
        SET search_path = pg_catalog, pg_temp
        AS $$
            SELECT {values}
            FROM feature.training_fraud_dataset(fraud_share, known_by, settled_after)
            CROSS JOIN analyst.masking_key
        $$
    """)  # noqa: S608 - our own names
    op.execute("REVOKE EXECUTE ON FUNCTION analyst.training_fraud_dataset FROM PUBLIC")
    op.execute(
        "COMMENT ON FUNCTION analyst.training_fraud_dataset IS"
        " 'feature.training_fraud_dataset with masked ids'"
    )
    op.execute(
        "CREATE VIEW analyst.training_fraud_dataset AS"
        " SELECT * FROM analyst.training_fraud_dataset()"
    )
    comment_view(
        "analyst.training_fraud_dataset",
        "The function of the same name with a share of 0.2, and labels as they are known now",
        **{shown[name]: MASKED.get(name, meaning) for name, (_, meaning) in columns.items()},
    )


def mask(column: str) -> str:
    """Return the SQL; a user and a terminal of the same name are masked differently."""
    message = f"sha256(key || convert_to('{column}:' || {column}, 'UTF8'))"
    return f"encode(substr(sha256(key || {message}), 1, 8), 'hex')"


def comment_view(view: str, comment: str, **columns: str) -> None:
    op.execute(f"COMMENT ON VIEW {view} IS '{comment}'")
    for name, meaning in columns.items():
        op.execute(f"""COMMENT ON COLUMN {view}."{name}" IS '{meaning}'""")
