"""The journal says of its rows that they may be merged."""

from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.create_table_comment(
        "journal",
        "Accepted transactions and labels, packed, a row per batch and partition or several that "
        "were merged. Customer and terminal histories are rebuilt from it after a restart or a "
        "rebalance.",
        schema="stream",
    )
    op.alter_column(
        "journal", "start_offset", comment="Offset of the first message", schema="stream"
    )
