"""Of which topic a position is, so that another one of the same name is noticed."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column(
        "positions",
        sa.Column(
            "topic_id",
            sa.Text,
            comment="Kafka's id of the topic that the offsets are of; one made again has another. "
            "Null if no member has taken the partition over since this column exists",
        ),
        schema="stream",
    )
