"""Who may do what in the database: four group roles, each with the least that it needs.

Roles belong to the whole server, tables to one database. So the roles are no migration: they are
made once, by whoever may, and the rights are set in each database, exactly as they stand here.
What is not named here is refused, a table of a later version too.
"""

from collections.abc import Iterator
from typing import Final

from sqlalchemy import Connection, Engine, func, select

from flagpost.errors import BadConfiguration
from flagpost.postgres.driver_errors import translated
from flagpost.postgres.migrations import LOCK_KEY

OWNER = "flagpost_owner"
SCORER = "flagpost_scorer"
API = "flagpost_api"
ANALYST = "flagpost_analyst"

SCHEMAS = ("stream", "raw", "feature", "scores", "label", "alert", "analyst")

Rights = dict[str, tuple[str, ...]]

# Where the scorer may read some columns only, that is to see whether a key is taken.
RIGHTS: Final[dict[str, Rights]] = {
    SCORER: {
        "stream.schema_version": ("SELECT",),
        "stream.positions": ("SELECT", "INSERT", "UPDATE"),
        "stream.journal": ("SELECT", "INSERT", "DELETE"),
        "stream.checkpoints": ("SELECT", "INSERT", "DELETE"),
        "scores.fraud_transactions": ("INSERT", "SELECT (transaction_id)"),
        "scores.fraud_scores": ("INSERT", "SELECT (transaction_id, ts)"),
        "label.fraud_labels": (
            "INSERT",
            "SELECT (transaction_id, known_at, is_fraud, topic, partition)",
        ),
        "feature.hourly_spread": ("SELECT", "INSERT", "UPDATE (counts)"),
        "feature.training_spread": ("INSERT",),
        "feature.hourly_totals": (
            "SELECT",
            "INSERT",
            "UPDATE (hour, fraud_reason, tx_count, amount_cents, fraud_probability_millionths)",
        ),
    },
    API: {
        "stream.schema_version": ("SELECT",),
        "stream.positions": ("SELECT",),
        "stream.journal": ("SELECT",),
        "stream.checkpoints": ("SELECT",),
        "stream.dead_letter_replays": ("SELECT",),
        "scores.fraud_transactions": ("SELECT",),
        "scores.fraud_scores": ("SELECT",),
        "label.fraud_labels": ("SELECT",),
        "label.latest_fraud_labels": ("SELECT",),
        "feature.hourly_spread": ("SELECT",),
        "feature.training_spread": ("SELECT",),
        "feature.spread_by_bin": ("SELECT",),
        "feature.daily_stability": ("SELECT",),
        "feature.hourly_totals": ("SELECT",),
        "feature.reported_groups": ("SELECT",),
        "feature.all_totals": ("SELECT",),
        "feature.reported_totals": ("SELECT",),
        "feature.hourly_volume": ("SELECT",),
        "feature.training_fraud_daily": ("SELECT",),
        "label.fraud_label_daily": ("SELECT",),
        "raw.marketing_daily": ("SELECT",),
        "alert.levels": ("SELECT",),
        "alert.daily_fraud_alert": ("SELECT",),
        "alert.amount_at_risk": ("SELECT",),
        "label.terminals_by_fraud": ("SELECT",),
        "label.customers_by_fraud": ("SELECT",),
        "scores.daily_precision": ("SELECT",),
        "scores.daily_time_to_flag": ("SELECT",),
        "scores.model_versions": ("SELECT",),
        "scores.flagged_features": ("SELECT",),
        "scores.kept_features": ("SELECT",),
        "scores.retention": ("SELECT",),
        "feature.scored_features": ("SELECT",),
        "feature.training_fraud_dataset": ("SELECT",),
    },
    ANALYST: {
        "analyst.fraud_transactions": ("SELECT",),
        "analyst.latest_fraud_labels": ("SELECT",),
        "analyst.fraud_scores": ("SELECT",),
        "analyst.hourly_volume": ("SELECT",),
        "analyst.training_fraud_daily": ("SELECT",),
        "analyst.training_fraud_dataset": ("SELECT",),
        "analyst.fraud_label_daily": ("SELECT",),
        "analyst.daily_fraud_alert": ("SELECT",),
        "analyst.amount_at_risk": ("SELECT",),
        "analyst.terminals_by_fraud": ("SELECT",),
        "analyst.customers_by_fraud": ("SELECT",),
        "analyst.daily_precision": ("SELECT",),
        "analyst.daily_time_to_flag": ("SELECT",),
        "analyst.model_versions": ("SELECT",),
    },
}

# Functions that do or see more than their caller might.
FUNCTIONS: Final[dict[str, str]] = {
    SCORER: "scores.make_room",
    ANALYST: "analyst.training_fraud_dataset",
}


def set_up_roles(engine: Engine) -> None:
    """Make the roles that are missing, and set the rights in this database; safe to repeat. Blocks.

    Raises:
        BadConfiguration: the user may not do that; the message says who can, and how.
        SchemaOutdated: a table is missing.
        Unavailable: the database does not answer.
    """
    try:
        with translated(), engine.begin() as connection:
            _execute(connection)
    except BadConfiguration as error:
        raise BadConfiguration(
            f"{error}; if this user may not make roles, let an administrator run what "
            "`flagpost roles --sql` prints"
        ) from error


def _execute(connection: Connection) -> None:
    connection.execute(select(func.pg_advisory_xact_lock(LOCK_KEY)))
    for statement in statements():
        connection.exec_driver_sql(statement)


def statements() -> Iterator[str]:
    """The SQL, in order; it needs a user who may make roles and owns the tables, or a superuser."""
    for role in (OWNER, *RIGHTS):
        yield _make(role)
    yield _JOIN_OWNERS
    yield _OWN
    schemas, limited = ", ".join(SCHEMAS), ", ".join(RIGHTS)
    yield f"REVOKE ALL ON ALL TABLES IN SCHEMA {schemas} FROM {limited}"
    yield f"REVOKE ALL ON ALL FUNCTIONS IN SCHEMA {schemas} FROM {limited}"
    yield f"REVOKE ALL ON SCHEMA {schemas} FROM {limited}"
    for role, rights in RIGHTS.items():
        used = dict.fromkeys(table.partition(".")[0] for table in rights)
        yield f"GRANT USAGE ON SCHEMA {', '.join(used)} TO {role}"
        for table, verbs in rights.items():
            yield f"GRANT {', '.join(verbs)} ON {table} TO {role}"
    for role, function in FUNCTIONS.items():
        yield f"GRANT EXECUTE ON FUNCTION {function} TO {role}"


def _make(role: str) -> str:
    """Two databases may make the same role at once: whoever comes second finds it made."""
    return f"""DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN
        CREATE ROLE {role} NOLOGIN;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$"""


# Only a member may hand tables over to the owners.
_JOIN_OWNERS = f"""DO $$ BEGIN
    IF NOT pg_has_role('{OWNER}', 'USAGE') THEN
        GRANT {OWNER} TO CURRENT_USER;
    END IF;
EXCEPTION WHEN unique_violation THEN NULL;
END $$"""

# What is theirs already is left alone: handing over locks a table.
_OWN = f"""DO $$ DECLARE
    ours regnamespace[] := '{{{",".join(SCHEMAS)}}}';
    statement text;
BEGIN
    EXECUTE 'GRANT CREATE ON DATABASE ' || quote_ident(current_database()) || ' TO {OWNER}';
    FOR statement IN
        SELECT 'SCHEMA ' || oid::regnamespace FROM pg_namespace
        WHERE oid = ANY (ours) AND nspowner <> '{OWNER}'::regrole
        UNION ALL
        SELECT 'TABLE ' || oid::regclass FROM pg_class
        WHERE relnamespace = ANY (ours) AND relkind IN ('r', 'p', 'v')
          AND relowner <> '{OWNER}'::regrole
        UNION ALL
        SELECT 'FUNCTION ' || oid::regprocedure FROM pg_proc
        WHERE pronamespace = ANY (ours) AND proowner <> '{OWNER}'::regrole
    LOOP
        EXECUTE 'ALTER ' || statement || ' OWNER TO {OWNER}';
    END LOOP;
END $$"""  # noqa: S608 - made of the constants above alone
