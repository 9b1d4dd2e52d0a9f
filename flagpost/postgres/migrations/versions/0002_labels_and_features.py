"""Labels, and the feature values of flagged transactions."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"

TIME = sa.TIMESTAMP(timezone=True)


def upgrade() -> None:
    op.execute("CREATE SCHEMA IF NOT EXISTS label")
    op.execute("COMMENT ON SCHEMA label IS 'What became known about transactions'")
    columns = label_columns()
    create_fraud_labels(columns)
    create_latest_fraud_labels(columns)
    add_features()


def label_columns() -> list[sa.Column[object]]:
    return [
        sa.Column(
            "transaction_id", sa.Text, comment="Id of the transaction, as its sender gave it"
        ),
        sa.Column("known_at", TIME, comment="When this became known, by the sender of the label"),
        sa.Column("is_fraud", sa.Boolean, comment="What became known: fraud, or genuine after all"),
        sa.Column("source", sa.Text, comment="Who found out; null when the message did not say"),
        sa.Column("user_id", sa.Text, comment="Customer who paid; null when not named"),
        sa.Column(
            "terminal_id", sa.Text, comment="Terminal of the transaction; null when not named"
        ),
        sa.Column("ts", TIME, nullable=False, comment="When the transaction happened"),
        sa.Column("topic", sa.Text, nullable=False, comment="Kafka topic of the message"),
        sa.Column("partition", sa.Integer, nullable=False, comment="Partition of the message"),
        sa.Column(
            "kafka_offset",
            sa.BigInteger,
            nullable=False,
            comment="Offset of the message in its partition",
        ),
        sa.Column(
            "learned_at",
            TIME,
            nullable=False,
            server_default=sa.func.now(),
            comment="When the label was stored here",
        ),
    ]


def create_fraud_labels(columns: list[sa.Column[object]]) -> None:
    op.create_table(
        "fraud_labels",
        *columns,
        sa.PrimaryKeyConstraint("transaction_id", "known_at", "is_fraud"),
        schema="label",
        comment="Labels, each once. A correction is a row of its own with a later known_at; "
        "label.latest_fraud_labels has what counts now.",
    )
    for indexed in (["ts"], ["user_id", "ts"], ["terminal_id", "ts"], ["known_at"]):
        op.create_index(
            f"fraud_labels_{'_'.join(indexed)}_idx", "fraud_labels", indexed, schema="label"
        )


def create_latest_fraud_labels(columns: list[sa.Column[object]]) -> None:
    # In the order of the primary key, so that its index serves the whole view. Of two labels of
    # the same time, the one that says fraud counts, as it does for the features.
    op.execute(
        "CREATE VIEW label.latest_fraud_labels AS"
        " SELECT DISTINCT ON (transaction_id) * FROM label.fraud_labels"
        " ORDER BY transaction_id DESC, known_at DESC, is_fraud DESC"
    )
    op.execute(
        "COMMENT ON VIEW label.latest_fraud_labels IS"
        " 'The label that became known last, for each transaction that has one'"
    )
    for column in columns:
        op.execute(
            f"COMMENT ON COLUMN label.latest_fraud_labels.{column.name} IS '{column.comment}'"
        )


def add_features() -> None:
    op.add_column(
        "fraud_transactions",
        sa.Column(
            "features",
            postgresql.JSONB,
            comment="Value of every feature by name, as the model saw it; null in rows from before "
            "this was kept",
        ),
        schema="scores",
    )
