"""Features are arrays of numbers, a quarter of the size, and views have them by name.

A view names the places of the array. So features may be added behind the last one, by a migration
that makes the views again; their order never changes.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"

FEATURES = {
    "amount": "currency units",
    "is_weekend": "0 or 1",
    "is_night": "0 or 1",
    "customer_tx_count_1h": "count",
    "customer_tx_count_24h": "count",
    "customer_tx_count_7d": "count",
    "customer_tx_count_30d": "count",
    "customer_total_amount_1h": "currency units",
    "customer_total_amount_24h": "currency units",
    "customer_avg_amount_24h": "currency units",
    "customer_avg_amount_7d": "currency units",
    "customer_avg_amount_30d": "currency units",
    "seconds_since_last": "seconds, at most 30 days",
    "amount_ratio": "ratio",
    "customer_high_count_7d": "count",
    "customer_high_count_14d": "count",
    "ratio_if_recent_high": "ratio, at most 4",
    "amount_to_balance": "share, at most 10",
    "terminal_tx_count_1d": "count",
    "terminal_tx_count_7d": "count",
    "terminal_tx_count_30d": "count",
    "terminal_risk_1d": "share",
    "terminal_risk_7d": "share",
    "terminal_risk_30d": "share",
    "terminal_run": "count",
    "terminal_run_plain": "count",
    "terminal_run_age_days": "days",
    "terminal_run_min_ratio": "ratio",
    "terminal_days_since_genuine": "days, at most 37",
    "terminal_quiet_days": "days, at most 37",
}
IDENTITY = {
    "transaction_id": "Id of the transaction, as its sender gave it",
    "ts": "When the transaction happened",
    "model_version": "Model that scored it",
}


def upgrade() -> None:
    make_arrays(
        "fraud_transactions",
        "Value of every feature as the model saw it; scores.flagged_features has them by name. "
        "Null in rows from before this was kept",
        nullable=True,
    )
    make_arrays(
        "fraud_scores",
        "Value of every feature, exact to the last bit; scores.kept_features has them by name",
        nullable=False,
    )
    create_view("flagged_features", "fraud_transactions", "a flagged transaction")
    create_view("kept_features", "fraud_scores", "a scored transaction, flagged or not")


def make_arrays(table: str, comment: str, *, nullable: bool) -> None:
    """Turn objects into arrays; JSON kept all digits, so each number is the same to the bit."""
    values = ", ".join(f"(features->>'{name}')::float8" for name in FEATURES)
    op.alter_column(
        table,
        "features",
        schema="scores",
        type_=postgresql.ARRAY(sa.Double),
        existing_nullable=nullable,
        comment=comment,
        postgresql_using=f"CASE WHEN features IS NOT NULL THEN ARRAY[{values}] END",
    )


def create_view(view: str, table: str, row: str) -> None:
    named = ", ".join(
        f"features[{place}] AS {name}" for place, name in enumerate(FEATURES, start=1)
    )
    columns = f"{', '.join(IDENTITY)}, {named}"
    op.execute(f"CREATE VIEW scores.{view} AS SELECT {columns} FROM scores.{table}")  # noqa: S608 - our names
    op.execute(f"COMMENT ON VIEW scores.{view} IS 'What the model saw of {row}, by name'")
    for column, comment in (IDENTITY | FEATURES).items():
        op.execute(f"COMMENT ON COLUMN scores.{view}.{column} IS '{comment}'")
