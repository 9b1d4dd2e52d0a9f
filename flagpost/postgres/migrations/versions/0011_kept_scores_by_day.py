"""Kept scores lie in a partition for each day, of which old ones go; a labelled set for training.

A worker may not create tables. So it asks a function to, which does that alone, with the rights of
its owner.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0011"
down_revision = "0010"

TIME = sa.TIMESTAMP(timezone=True)

Columns = dict[str, str]
N_IDENTITY = 3  # transaction_id, ts, model_version; the features come after them


def upgrade() -> None:
    [identity, features] = read_columns("scores.kept_features")
    op.execute("DROP VIEW scores.kept_features")
    op.execute("ALTER TABLE scores.fraud_scores RENAME TO unparted_scores")
    op.execute("ALTER INDEX scores.fraud_scores_pkey RENAME TO unparted_scores_pkey")
    create_fraud_scores()
    create_retention()
    create_make_room()
    move_scores()
    create_kept_features(identity, features)
    create_dataset(identity, features)


def read_columns(view: str) -> tuple[Columns, Columns]:
    """Return what a view says of its columns: of the transaction, and of the features."""
    rows = op.get_bind().execute(
        sa.text(
            "SELECT attname, col_description(attrelid, attnum) FROM pg_attribute"
            " WHERE attrelid = CAST(:view AS regclass) AND attnum > 0 ORDER BY attnum"
        ),
        {"view": view},
    )
    columns = [(str(name), str(comment)) for name, comment in rows]
    return dict(columns[:N_IDENTITY]), dict(columns[N_IDENTITY:])


def create_fraud_scores() -> None:
    op.create_table(
        "fraud_scores",
        sa.Column(
            "transaction_id", sa.Text, comment="Id of the transaction, as its sender gave it"
        ),
        sa.Column("user_id", sa.Text, comment="Customer who paid; null in old rows"),
        sa.Column(
            "terminal_id",
            sa.Text,
            comment="Terminal where the payment was made; null when the message named none",
        ),
        sa.Column("ts", TIME, comment="When the transaction happened"),
        sa.Column(
            "fraud_probability",
            sa.Double,
            nullable=False,
            comment="Probability of fraud by the model, from 0 to 1",
        ),
        sa.Column("is_flagged", sa.Boolean, nullable=False, comment="Whether it was flagged"),
        sa.Column(
            "fraud_label",
            sa.Integer,
            sa.Computed("is_flagged::int", persisted=True),
            nullable=False,
            comment="The same as a number: 1 if it was flagged, else 0",
        ),
        sa.Column(
            "features",
            postgresql.ARRAY(sa.Double),
            nullable=False,
            comment="Value of every feature, exact to the last bit; scores.kept_features has them "
            "by name",
        ),
        sa.Column("model_version", sa.Text, nullable=False, comment="Model that scored it"),
        sa.Column(
            "scored_at",
            TIME,
            nullable=False,
            server_default=sa.func.now(),
            comment="When it was scored",
        ),
        sa.Column("topic", sa.Text, comment="Kafka topic of the message; null in old rows"),
        sa.Column("partition", sa.Integer, comment="Partition of the message"),
        sa.Column("kafka_offset", sa.BigInteger, comment="Offset of the message in its partition"),
        sa.PrimaryKeyConstraint("transaction_id", "ts"),
        schema="scores",
        postgresql_partition_by="RANGE (ts)",
        comment="Every scored transaction with all that the model saw of it, flagged or not. "
        "Filled only where FLAGPOST_KEEP_SCORES=all. A partition for each day; scores.retention "
        "says how many are kept.",
    )


def create_retention() -> None:
    op.create_table(
        "retention",
        sa.Column(
            "is_only",
            sa.Boolean,
            primary_key=True,
            server_default=sa.true(),
            comment="Always true: there is one row",
        ),
        sa.Column(
            "keep_days", sa.Integer, nullable=False, comment="Days of event time that are kept"
        ),
        sa.CheckConstraint("is_only", name="retention_one_row"),
        sa.CheckConstraint("keep_days > 0", name="retention_some_days"),
        schema="scores",
        comment="How long scores.fraud_scores keeps scores. Change the row as you like.",
    )
    op.execute("INSERT INTO scores.retention (keep_days) VALUES (400)")


def create_make_room() -> None:
    # ATTACH lets others write meanwhile, CREATE ... PARTITION OF would not. To drop a partition
    # needs everybody out of the table: who reads it for long shall not stop the stream, so that is
    # tried for a moment, and again with the next new day. Who had to wait for another member looks
    # again at what there is: the lock of a table brings news of the catalog, an advisory one not.
    # Names are compared as texts: a plan may look at those of other tables first.
    op.execute("""
        CREATE FUNCTION scores.make_room(days date[]) RETURNS void
        LANGUAGE plpgsql SECURITY DEFINER
        SET search_path = pg_catalog, pg_temp
        SET lock_timeout = '10s'
        SET timezone = 'UTC'
        AS $$
        DECLARE
            day date;
            child text;
            first_kept date;
        BEGIN
            IF NOT EXISTS (
                SELECT FROM unnest(days) AS each
                WHERE to_regclass('scores.fraud_scores_' || to_char(each, 'YYYYMMDD')) IS NULL
            ) THEN
                RETURN;
            END IF;
            LOCK TABLE ONLY scores.fraud_scores IN SHARE UPDATE EXCLUSIVE MODE;
            days := ARRAY(
                SELECT DISTINCT each FROM unnest(days) AS each
                WHERE NOT EXISTS (
                    SELECT FROM pg_class WHERE relnamespace = 'scores'::regnamespace
                    AND relname = 'fraud_scores_' || to_char(each, 'YYYYMMDD')
                )
            );
            FOREACH day IN ARRAY days LOOP
                child := 'fraud_scores_' || to_char(day, 'YYYYMMDD');
                EXECUTE format('CREATE TABLE scores.%I (LIKE scores.fraud_scores INCLUDING ALL)',
                               child);
                EXECUTE format('ALTER TABLE scores.fraud_scores ATTACH PARTITION scores.%I '
                               'FOR VALUES FROM (%L) TO (%L)',
                               child, day::timestamptz, (day + 1)::timestamptz);
            END LOOP;
            SELECT least(max(name), to_char(now(), 'YYYYMMDD'))::date - keep_days + 1
            INTO first_kept
            FROM scores.retention, (
                SELECT right(relname, 8) AS name FROM pg_inherits JOIN pg_class ON oid = inhrelid
                WHERE inhparent = 'scores.fraud_scores'::regclass
            ) AS child_days
            GROUP BY keep_days;
            BEGIN
                SET LOCAL lock_timeout = '100ms';
                FOR child IN
                    SELECT relname FROM pg_inherits JOIN pg_class ON oid = inhrelid
                    WHERE inhparent = 'scores.fraud_scores'::regclass
                      AND right(relname, 8) < to_char(first_kept, 'YYYYMMDD')
                      AND right(relname, 8) <> ALL (
                          SELECT to_char(each, 'YYYYMMDD') FROM unnest(days) AS each
                      )
                LOOP
                    EXECUTE format('DROP TABLE scores.%I', child);
                END LOOP;
            EXCEPTION WHEN lock_not_available THEN
                RAISE NOTICE 'old scores are kept for now: somebody reads them';
            END;
        END
        $$
    """)
    op.execute("REVOKE EXECUTE ON FUNCTION scores.make_room FROM PUBLIC")
    op.execute(
        "COMMENT ON FUNCTION scores.make_room IS 'Make the partitions of scores.fraud_scores for"
        " some days (UTC) where they are missing, and drop those older than scores.retention says'"
    )


def move_scores() -> None:
    kept = (
        "transaction_id, ts, fraud_probability, is_flagged, features, model_version, scored_at,"
        " topic, partition, kafka_offset"
    )
    op.execute(
        "SELECT scores.make_room(array_agg(DISTINCT (ts AT TIME ZONE 'UTC')::date))"
        " FROM scores.unparted_scores HAVING count(*) > 0"
    )
    op.execute(
        f"INSERT INTO scores.fraud_scores ({kept}) SELECT {kept} FROM scores.unparted_scores"  # noqa: S608 - constants
    )
    op.execute("DROP TABLE scores.unparted_scores")


def create_kept_features(identity: Columns, features: Columns) -> None:
    named = ", ".join(
        f"features[{place}] AS {name}" for place, name in enumerate(features, start=1)
    )
    op.execute(
        f"CREATE VIEW scores.kept_features AS SELECT {', '.join(identity)}, {named}"  # noqa: S608 - our names
        " FROM scores.fraud_scores"
    )
    comment_view(
        "scores.kept_features",
        "What the model saw of a scored transaction, flagged or not, by name",
        **identity,
        **features,
    )


def create_dataset(identity: Columns, features: Columns) -> None:
    names = ", ".join(features)
    types = ", ".join(f"{name} float8" for name in features)
    op.execute(f"""
        CREATE VIEW feature.scored_features AS
        SELECT transaction_id, ts, model_version, {names} FROM scores.kept_features
        UNION ALL
        SELECT transaction_id, ts, model_version, {names} FROM scores.flagged_features AS flagged
        WHERE amount IS NOT NULL AND NOT EXISTS (
            SELECT FROM scores.fraud_scores AS kept
            WHERE (kept.transaction_id, kept.ts) = (flagged.transaction_id, flagged.ts)
        )
    """)  # noqa: S608 - names of our features
    comment_view(
        "feature.scored_features",
        "What the model saw of all transactions of which that is kept, each once: the flagged ones,"
        " and with FLAGPOST_KEEP_SCORES=all the others",
        **identity,
        **features,
    )
    # The same transactions are chosen every time: those whose hashes come first.
    op.execute(f"""
        CREATE FUNCTION feature.training_fraud_dataset(
            fraud_share float8 DEFAULT 0.2,
            known_by timestamptz DEFAULT now(),
            settled_after interval DEFAULT '7 days'
        ) RETURNS TABLE (
            transaction_id text, ts timestamptz, model_version text, {types},
            fraud_label int, known_at timestamptz
        )
        LANGUAGE plpgsql STABLE
        AS $$
        #variable_conflict use_column
        BEGIN
            IF fraud_share IS NULL OR NOT fraud_share BETWEEN 0 AND 1 THEN
                RAISE EXCEPTION 'fraud_share is %, and a share is from 0 to 1', fraud_share
                USING ERRCODE = 'invalid_parameter_value';
            END IF;
            RETURN QUERY
            WITH labelled AS MATERIALIZED (
                SELECT scored.*, coalesce(latest.is_fraud, false)::int AS fraud_label,
                       latest.known_at
                FROM feature.scored_features AS scored
                LEFT JOIN (
                    SELECT DISTINCT ON (transaction_id) transaction_id, is_fraud, known_at
                    FROM label.fraud_labels
                    WHERE known_at <= known_by
                    ORDER BY transaction_id, known_at DESC, is_fraud DESC
                ) AS latest USING (transaction_id)
                WHERE scored.ts <= known_by - settled_after
            ), wanted AS (
                SELECT least(
                    count(*) FILTER (WHERE fraud_label = 1) / nullif(fraud_share, 0),
                    count(*) FILTER (WHERE fraud_label = 0) / nullif(1 - fraud_share, 0)
                ) AS n
                FROM labelled
            ), ranked AS (
                SELECT labelled.*, row_number() OVER (
                    PARTITION BY fraud_label ORDER BY md5(transaction_id), ts
                ) AS place
                FROM labelled
            )
            SELECT transaction_id, ts, model_version, {names}, fraud_label, known_at
            FROM ranked, wanted
            WHERE place <= round(
                n * CASE fraud_label WHEN 1 THEN fraud_share ELSE 1 - fraud_share END
            );
        END
        $$
    """)  # noqa: S608 - names of our features
    op.execute(
        "COMMENT ON FUNCTION feature.training_fraud_dataset IS 'A labelled set with a share of"
        " fraud: features as they were when the transaction was scored, labels as they were known"
        " by a moment. Transactions less than settled_after older than it are left out, for their"
        " labels may not have come. The largest set that has the share'"
    )
    op.execute(
        "CREATE VIEW feature.training_fraud_dataset AS"
        " SELECT * FROM feature.training_fraud_dataset()"
    )
    comment_view(
        "feature.training_fraud_dataset",
        "The function of the same name with a share of 0.2, and labels as they are known now",
        **identity,
        **features,
        fraud_label="1 if it was known as fraud, else 0",
        known_at="When this became known; null without a label, which counts as genuine",
    )


def comment_view(view: str, comment: str, **columns: str) -> None:
    op.execute(f"COMMENT ON VIEW {view} IS '{comment}'")
    for name, meaning in columns.items():
        op.execute(f"COMMENT ON COLUMN {view}.{name} IS '{meaning}'")
