"""Who owns a partition and what went wrong last; where one can rewind to; replayed dead letters."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

TIME = sa.TIMESTAMP(timezone=True)
COUNTS = ("n_in", "n_clean", "n_flagged", "n_duplicate", "n_dead")


def upgrade() -> None:
    add_owners()
    create_checkpoints()
    add_places_of_scores()
    create_dead_letter_replays()


def add_owners() -> None:
    for column in (
        sa.Column("owner", sa.Text, comment="Host and process id of who took it over last"),
        sa.Column("owned_since", TIME, comment="When that was"),
        sa.Column(
            "last_error", sa.Text, comment="What the owner last waited for, or what ended it"
        ),
        sa.Column("last_error_at", TIME, comment="When that was noted"),
    ):
        op.add_column("positions", column, schema="stream")
    op.alter_column(
        "positions",
        "updated_at",
        schema="stream",
        comment="When the position last moved",
        existing_comment="When this row last changed",
    )


def create_checkpoints() -> None:
    op.create_table(
        "checkpoints",
        sa.Column("topic", sa.Text, comment="Kafka topic"),
        sa.Column("partition", sa.Integer, comment="Partition of the topic"),
        sa.Column("group", sa.Text, comment="Consumer group; groups share no state"),
        sa.Column("next_offset", sa.BigInteger, comment="Offset of the next message then"),
        sa.Column(
            "event_time",
            TIME,
            comment="Latest event time seen then. Null before the first transaction",
        ),
        sa.Column(
            "next_event_time",
            TIME,
            comment="Event time that the stream came to next; null if only bad messages came",
        ),
        *(
            sa.Column(name, sa.BigInteger, nullable=False, comment=f"{name} of the position then")
            for name in COUNTS
        ),
        sa.PrimaryKeyConstraint("topic", "partition", "group", "next_offset"),
        schema="stream",
        comment="Positions as they were before an hour of event time began: where one can rewind "
        "to.",
    )


def add_places_of_scores() -> None:
    for column in (
        sa.Column("topic", sa.Text, comment="Kafka topic of the message; null in old rows"),
        sa.Column("partition", sa.Integer, comment="Partition of the message"),
        sa.Column("kafka_offset", sa.BigInteger, comment="Offset of the message in its partition"),
    ):
        op.add_column("fraud_scores", column, schema="scores")


def create_dead_letter_replays() -> None:
    op.create_table(
        "dead_letter_replays",
        sa.Column("topic", sa.Text, comment="Kafka topic of the bad message"),
        sa.Column("partition", sa.Integer, comment="Partition of the bad message"),
        sa.Column("kafka_offset", sa.BigInteger, comment="Offset of the bad message"),
        sa.Column(
            "edited_key", sa.LargeBinary, comment="Key that is sent instead; null: as it was"
        ),
        sa.Column(
            "edited_value", sa.LargeBinary, comment="Value that is sent instead; null: as it was"
        ),
        sa.Column(
            "claimed_by", sa.Text, nullable=False, comment="Host and process id of who replays it"
        ),
        sa.Column(
            "claimed_at",
            TIME,
            nullable=False,
            server_default=sa.func.now(),
            comment="When it was claimed, which is before it is sent",
        ),
        sa.Column(
            "replayed_at",
            TIME,
            comment="When the broker had acknowledged it; null: perhaps sent, perhaps not",
        ),
        sa.PrimaryKeyConstraint("topic", "partition", "kafka_offset"),
        schema="stream",
        comment="Dead letters that were sent to their topic again, each once.",
    )
