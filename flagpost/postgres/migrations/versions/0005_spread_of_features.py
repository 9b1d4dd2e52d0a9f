"""How features spread, hour by hour and in the training data, and how far the two differ."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"

TIME = sa.TIMESTAMP(timezone=True)
DOUBLES = postgresql.ARRAY(sa.Double)


def upgrade() -> None:
    op.execute("CREATE SCHEMA IF NOT EXISTS feature")
    op.execute("COMMENT ON SCHEMA feature IS 'How features spread, in the stream and in training'")
    create_hourly_spread()
    create_training_spread()
    create_stability_index()
    create_spread_by_bin()
    create_daily_stability()


def create_hourly_spread() -> None:
    op.create_table(
        "hourly_spread",
        sa.Column("hour", TIME, comment="Full hour of event time that the stream had come to"),
        sa.Column("model_version", sa.Text, comment="Model whose bins these are"),
        sa.Column("topic", sa.Text, comment="Kafka topic"),
        sa.Column("partition", sa.Integer, comment="Partition of the topic"),
        sa.Column("group", sa.Text, comment="Consumer group; groups share no state"),
        sa.Column(
            "counts",
            postgresql.ARRAY(sa.Integer),
            nullable=False,
            comment="Transactions in each bin; those of one feature add up to the sample",
        ),
        sa.PrimaryKeyConstraint("hour", "model_version", "topic", "partition", "group"),
        sa.CheckConstraint(
            "array_position(counts, NULL) IS NULL", name="hourly_spread_counts_complete"
        ),
        schema="feature",
        comment="Sampled transactions by hour and bin, the features one behind the other; "
        "feature.training_spread says which count is which. It commits together with the "
        "decisions.",
    )
    # The row of the present hour changes with every batch: room beside it keeps that off the index.
    op.execute("ALTER TABLE feature.hourly_spread SET (fillfactor = 50)")


def create_training_spread() -> None:
    op.create_table(
        "training_spread",
        sa.Column("model_version", sa.Text, comment="Model that was trained"),
        sa.Column("feature", sa.Text, comment="Name of the feature, or fraud_probability"),
        sa.Column(
            "first_count",
            sa.Integer,
            nullable=False,
            comment="Place of the first bin in feature.hourly_spread.counts, from 1 on",
        ),
        sa.Column(
            "edges",
            DOUBLES,
            nullable=False,
            comment="Where a bin ends and the next begins, ascending; a value on an edge is below "
            "it",
        ),
        sa.Column(
            "shares",
            DOUBLES,
            nullable=False,
            comment="Share of the training data in each bin, from 0 to 1",
        ),
        sa.PrimaryKeyConstraint("model_version", "feature"),
        sa.CheckConstraint(
            "cardinality(shares) = cardinality(edges) + 1", name="training_spread_share_each_bin"
        ),
        schema="feature",
        comment="Bins of each model that a worker has started with, and what share of the training "
        "data each held. The fraud probability is counted like a feature.",
    )


def create_stability_index() -> None:
    # Logarithms of nothing are infinite. So an empty bin counts as half a transaction, or as what
    # was to be expected if that is less; what never occurred in training, as one in 10,000.
    op.execute("""
        CREATE FUNCTION feature.population_stability_index(
            counts bigint[], training_shares float8[]
        ) RETURNS float8 LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
        RETURN (
            SELECT sum((p - q) * ln(p / q))
            FROM (
                SELECT greatest(n / total, least(0.5 / total, q)) AS p, q
                FROM (
                    SELECT n, sum(n) OVER ()::float8 AS total, greatest(share, 0.0001) AS q
                    FROM unnest(counts, training_shares) AS bin(n, share)
                ) AS counted
                WHERE total > 0
            ) AS shares
        )
    """)
    op.execute(
        "COMMENT ON FUNCTION feature.population_stability_index IS 'How far counts by bin are from"
        " the shares of the training data: sum((p - q) * ln(p / q)); Siddiqi, Credit Risk"
        " Scorecards, 2006. Null without counts'"
    )


def create_spread_by_bin() -> None:
    op.execute("""
        CREATE VIEW feature.spread_by_bin AS
        SELECT hour, model_version, topic, "group", feature, bin, above, up_to, n,
               n / nullif(sum(n) OVER hourly, 0)::float8 AS share, training_share
        FROM (
            SELECT hour, model_version, topic, "group", feature, bin,
                   edges[bin - 1] AS above, edges[bin] AS up_to,
                   sum(counts[first_count + bin - 1]) AS n, training_share
            FROM feature.hourly_spread
            JOIN feature.training_spread USING (model_version)
            CROSS JOIN unnest(shares) WITH ORDINALITY AS each_bin(training_share, bin)
            GROUP BY hour, model_version, topic, "group", feature, bin, edges, training_share
        ) AS all_partitions
        WINDOW hourly AS (PARTITION BY hour, model_version, topic, "group", feature)
    """)
    comment_view(
        "spread_by_bin",
        "Sampled transactions of each hour by feature and bin, beside the training data",
        hour="Full hour of event time that the stream had come to",
        model_version="Model whose bins these are",
        topic="Kafka topic",
        group="Consumer group; groups share no state",
        feature="Name of the feature, or fraud_probability",
        bin="Number of the bin, from 1 on",
        above="Values of this bin are greater than this; null in the first bin",
        up_to="and not greater than this; null in the last bin",
        n="Sampled transactions in the bin",
        share="Share of the sample of that hour, from 0 to 1; null without a sample",
        training_share="Share of the training data, from 0 to 1",
    )


def create_daily_stability() -> None:
    op.execute("""
        CREATE VIEW feature.daily_stability AS
        SELECT day, model_version, topic, "group", feature, sum(n)::bigint AS n_sampled,
               count(*) AS n_bins,
               feature.population_stability_index(
                   array_agg(n ORDER BY bin), array_agg(training_share ORDER BY bin)
               ) AS psi
        FROM (
            SELECT (hour AT TIME ZONE 'UTC')::date AS day, model_version, topic, "group", feature,
                   bin, sum(n)::bigint AS n, training_share
            FROM feature.spread_by_bin
            GROUP BY day, model_version, topic, "group", feature, bin, training_share
        ) AS daily
        GROUP BY day, model_version, topic, "group", feature
    """)
    comment_view(
        "daily_stability",
        "How far each feature is from the training data, day by day: under 0.1 is usually called "
        "stable, over 0.25 drifted. By chance alone it is about (n_bins - 1) / n_sampled",
        day="Day of event time, UTC",
        model_version="Model whose training data it is compared with",
        topic="Kafka topic",
        group="Consumer group; groups share no state",
        feature="Name of the feature, or fraud_probability",
        n_sampled="Transactions that were counted: one in 16",
        n_bins="Bins of the feature",
        psi="Population stability index",
    )


def comment_view(view: str, comment: str, **columns: str) -> None:
    op.execute(f"COMMENT ON VIEW feature.{view} IS '{comment}'")
    for name, meaning in columns.items():
        op.execute(f"""COMMENT ON COLUMN feature.{view}."{name}" IS '{meaning}'""")
