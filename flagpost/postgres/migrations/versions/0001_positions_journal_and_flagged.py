"""Positions, journal and flagged transactions."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None

TIME = sa.TIMESTAMP(timezone=True)


def upgrade() -> None:
    op.execute("CREATE SCHEMA IF NOT EXISTS scores")
    op.execute("COMMENT ON SCHEMA stream IS 'How far the stream is processed, and its state'")
    op.execute("COMMENT ON SCHEMA scores IS 'What the scorer has decided'")
    create_positions()
    create_journal()
    create_fraud_transactions()


def create_positions() -> None:
    op.create_table(
        "positions",
        sa.Column("topic", sa.Text, primary_key=True, comment="Kafka topic"),
        sa.Column(
            "partition",
            sa.Integer,
            primary_key=True,
            autoincrement=False,
            comment="Partition of the topic",
        ),
        sa.Column(
            "group", sa.Text, primary_key=True, comment="Consumer group; groups share no state"
        ),
        sa.Column(
            "epoch",
            sa.BigInteger,
            nullable=False,
            comment="Grows each time a member takes the partition over; only the latest may commit",
        ),
        sa.Column(
            "next_offset",
            sa.BigInteger,
            nullable=False,
            comment="Offset of the next message: all before it is done, nothing from it on",
        ),
        sa.Column(
            "event_time",
            TIME,
            comment="Latest event time seen; it never goes back. Null before the first transaction",
        ),
        count("n_in", "Messages read"),
        count("n_clean", "Scored and not flagged"),
        count("n_flagged", "Scored and flagged"),
        count("n_duplicate", "Delivered before, so neither scored nor counted again"),
        count("n_dead", "Sent to the dead letters because they could not be read"),
        sa.Column(
            "updated_at",
            TIME,
            nullable=False,
            server_default=sa.func.now(),
            comment="When this row last changed",
        ),
        sa.CheckConstraint(
            "n_in = n_clean + n_flagged + n_duplicate + n_dead", name="positions_counts_add_up"
        ),
        schema="stream",
        comment="How far each group has processed each partition. It commits together with the "
        "effects of the messages, so it is exact where a Kafka offset is only advice.",
    )


def count(name: str, comment: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False, server_default="0", comment=comment)


def create_journal() -> None:
    op.create_table(
        "journal",
        sa.Column("topic", sa.Text, primary_key=True, comment="Kafka topic"),
        sa.Column(
            "partition",
            sa.Integer,
            primary_key=True,
            autoincrement=False,
            comment="Partition of the topic",
        ),
        sa.Column(
            "group", sa.Text, primary_key=True, comment="Consumer group; groups share no state"
        ),
        sa.Column(
            "start_offset",
            sa.BigInteger,
            primary_key=True,
            autoincrement=False,
            comment="Offset of the first message of the batch",
        ),
        sa.Column(
            "end_offset",
            sa.BigInteger,
            nullable=False,
            comment="Offset behind the last message; duplicates and dead letters leave gaps inside",
        ),
        sa.Column("min_ts", TIME, nullable=False, comment="Earliest event time inside"),
        sa.Column("max_ts", TIME, nullable=False, comment="Latest event time inside"),
        sa.Column(
            "columns",
            sa.LargeBinary,
            nullable=False,
            comment="The transactions in offset order as packed columns (flagpost.core.segment)",
        ),
        sa.CheckConstraint("end_offset > start_offset", name="journal_not_empty"),
        schema="stream",
        comment="Accepted transactions, packed, one row per batch and partition. Customer and "
        "terminal histories are rebuilt from it after a restart or a rebalance.",
    )
    op.create_index(
        "journal_topic_partition_group_max_ts_idx",
        "journal",
        ["topic", "partition", "group", "max_ts"],
        schema="stream",
    )
    # Packed columns are mostly hashes: trying to compress them costs time and wins nothing.
    op.execute("ALTER TABLE stream.journal ALTER COLUMN columns SET STORAGE EXTERNAL")


def create_fraud_transactions() -> None:
    op.create_table(
        "fraud_transactions",
        sa.Column(
            "transaction_id",
            sa.Text,
            primary_key=True,
            comment="Id of the transaction, as its sender gave it",
        ),
        sa.Column("user_id", sa.Text, nullable=False, comment="Customer who paid"),
        sa.Column(
            "terminal_id",
            sa.Text,
            comment="Terminal where the payment was made; null when the message named none",
        ),
        sa.Column("ts", TIME, nullable=False, comment="When the transaction happened"),
        sa.Column(
            "amount",
            sa.Numeric(14, 2),
            nullable=False,
            comment="Amount in the currency of the stream, to the cent",
        ),
        sa.Column(
            "fraud_probability",
            sa.Double,
            nullable=False,
            comment="Probability of fraud by the model, from 0 to 1",
        ),
        sa.Column("risk_level", sa.Text, nullable=False, comment="LOW, MEDIUM or HIGH"),
        sa.Column(
            "reasons",
            postgresql.JSONB,
            nullable=False,
            comment="Why it was flagged, strongest reason first",
        ),
        sa.Column("model_version", sa.Text, nullable=False, comment="Model that decided"),
        sa.Column("topic", sa.Text, nullable=False, comment="Kafka topic of the message"),
        sa.Column("partition", sa.Integer, nullable=False, comment="Partition of the message"),
        sa.Column(
            "kafka_offset",
            sa.BigInteger,
            nullable=False,
            comment="Offset of the message in its partition",
        ),
        sa.Column(
            "scored_at",
            TIME,
            nullable=False,
            server_default=sa.func.now(),
            comment="When the decision was made",
        ),
        schema="scores",
        comment="Flagged transactions, each once, with the reasons. Clean transactions are counted "
        "in stream.positions and not stored.",
    )
    for columns in (["ts"], ["user_id", "ts"], ["terminal_id", "ts"]):
        op.create_index(
            f"fraud_transactions_{'_'.join(columns)}_idx",
            "fraud_transactions",
            columns,
            schema="scores",
        )
