"""The scores and features of all transactions, for those who ask for them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"

TIME = sa.TIMESTAMP(timezone=True)


def upgrade() -> None:
    op.create_table(
        "fraud_scores",
        sa.Column(
            "transaction_id", sa.Text, comment="Id of the transaction, as its sender gave it"
        ),
        sa.Column("ts", TIME, nullable=False, comment="When the transaction happened"),
        sa.Column(
            "fraud_probability",
            sa.Double,
            nullable=False,
            comment="Probability of fraud by the model, from 0 to 1",
        ),
        sa.Column("is_flagged", sa.Boolean, nullable=False, comment="Whether it was flagged"),
        sa.Column(
            "features",
            postgresql.JSONB,
            nullable=False,
            comment="Value of every feature by name, exact to the last bit",
        ),
        sa.Column("model_version", sa.Text, nullable=False, comment="Model that scored it"),
        sa.Column(
            "scored_at",
            TIME,
            nullable=False,
            server_default=sa.func.now(),
            comment="When it was scored",
        ),
        sa.PrimaryKeyConstraint("transaction_id"),
        schema="scores",
        comment="Every scored transaction with all that the model saw of it, flagged or "
        "not. Filled only where FLAGPOST_KEEP_SCORES=all, to compare with offline scoring.",
    )
