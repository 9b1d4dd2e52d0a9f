"""Views for analysts, in which customers, terminals and transactions have no names.

A masked id is the start of a hash with a secret key, nested as in HMAC. The same id is masked alike
in every view, so that they can be joined. The expression is written into each view and is no
function: a function must be callable by whoever reads the view, and ids are easily counted through.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

MASKED = {
    "transaction_id": "Stands for the id of the transaction, the same in all views here",
    "user_id": "Stands for the customer, the same in all views here",
    "terminal_id": "Stands for the terminal, the same in all views here; null when not named",
}


def upgrade() -> None:
    op.execute("CREATE SCHEMA IF NOT EXISTS analyst")
    op.execute("COMMENT ON SCHEMA analyst IS 'What people may see who need no names'")
    create_masking_key()
    create_masked_view(
        "fraud_transactions",
        "scores.fraud_transactions",
        "Flagged transactions with masked ids",
        ts="When the transaction happened",
        amount="Amount in the currency of the stream, to the cent",
        fraud_probability="Probability of fraud by the model, from 0 to 1",
        risk_level="LOW, MEDIUM or HIGH",
        model_version="Model that decided",
        scored_at="When the decision was made",
    )
    create_masked_view(
        "latest_fraud_labels",
        "label.latest_fraud_labels",
        "The label that became known last of each transaction, with masked ids",
        ts="When the transaction happened",
        known_at="When this became known, by the sender of the label",
        is_fraud="What became known: fraud, or genuine after all",
        source="Who found out; null when the message did not say",
    )


def create_masking_key() -> None:
    op.create_table(
        "masking_key",
        sa.Column(
            "is_only",
            sa.Boolean,
            primary_key=True,
            server_default=sa.true(),
            comment="Always true: there is one key",
        ),
        sa.Column("key", sa.LargeBinary, nullable=False, comment="32 random bytes"),
        sa.CheckConstraint("is_only", name="masking_key_one_row"),
        schema="analyst",
        comment="Secret behind the masked ids of this schema, made at random. Whoever reads it can "
        "find out which customer an id stands for.",
    )
    # A random UUID has 122 bits from the server's source of secrets.
    op.execute(
        "INSERT INTO analyst.masking_key (key)"
        " SELECT sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()))"
    )


def create_masked_view(name: str, table: str, comment: str, **columns: str) -> None:
    masked = ", ".join(f"{mask(column)} AS masked_{column}" for column in MASKED)
    op.execute(
        f"CREATE VIEW analyst.{name} AS SELECT {masked}, {', '.join(columns)}"  # noqa: S608 - constants
        f" FROM {table} CROSS JOIN analyst.masking_key"
    )
    op.execute(f"COMMENT ON VIEW analyst.{name} IS '{comment}'")
    meanings = {f"masked_{column}": meaning for column, meaning in MASKED.items()} | columns
    for column, meaning in meanings.items():
        op.execute(f"COMMENT ON COLUMN analyst.{name}.{column} IS '{meaning}'")


def mask(column: str) -> str:
    """Return the SQL; a user and a terminal of the same name are masked differently."""
    message = f"sha256(key || convert_to('{column}:' || {column}, 'UTF8'))"
    return f"encode(substr(sha256(key || {message}), 1, 8), 'hex')"
