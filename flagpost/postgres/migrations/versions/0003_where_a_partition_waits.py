"""Where a partition waits for others, so that the earliest of all may go on."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column(
        "positions",
        sa.Column(
            "waits_at",
            sa.TIMESTAMP(timezone=True),
            comment="Event time of the next message while it waits for slower partitions; it may "
            "lie behind event_time later on. Null if this partition has never waited",
        ),
        schema="stream",
    )
