"""Analysts see no places of messages: who may read the topic, too, would find the names there.

A view cannot lose columns, so it is made anew: with the owner, the rights and the comments that it
had, for until `flagpost roles` runs again nobody else could read it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

VIEW = "analyst.fraud_scores"
MASKED = ("transaction_id", "user_id", "terminal_id")
PLAIN = (
    "ts",
    "fraud_probability",
    "is_flagged",
    "fraud_label",
    "model_version",
    "scored_at",
)


def upgrade() -> None:
    shown = [*(f"masked_{column}" for column in MASKED), *PLAIN]
    kept = [*owner_and_rights(), *comments(shown)]
    values = ", ".join([*(f"{mask(column)} AS masked_{column}" for column in MASKED), *PLAIN])
    op.execute(f"DROP VIEW {VIEW}")
    op.execute(
        f"CREATE VIEW {VIEW} AS"  # noqa: S608 - constants
        f" SELECT {values} FROM scores.fraud_scores CROSS JOIN analyst.masking_key"
    )
    for statement in kept:
        op.execute(statement)


def owner_and_rights() -> list[str]:
    """Return the statements that give them to the view once more."""
    return rows(f"""
        SELECT format('ALTER VIEW {VIEW} OWNER TO %s', relowner::regrole)
        FROM pg_class WHERE oid = '{VIEW}'::regclass
        UNION ALL
        SELECT format('GRANT %s ON {VIEW} TO %s', privilege_type, grantee::regrole)
        FROM pg_class CROSS JOIN aclexplode(relacl)
        WHERE oid = '{VIEW}'::regclass AND grantee NOT IN (0, relowner)
    """)  # noqa: S608 - constants


def comments(shown: list[str]) -> list[str]:
    """Return the statements that comment the view, and its columns as far as they are shown."""
    names = ", ".join(f"'{name}'" for name in shown)
    return rows(f"""
        SELECT format('COMMENT ON VIEW {VIEW} IS %L', obj_description('{VIEW}'::regclass))
        UNION ALL
        SELECT format('COMMENT ON COLUMN {VIEW}.%I IS %L', attname,
                      col_description(attrelid, attnum))
        FROM pg_attribute WHERE attrelid = '{VIEW}'::regclass AND attname IN ({names})
    """)  # noqa: S608 - constants


def rows(query: str) -> list[str]:
    return list(op.get_bind().scalars(sa.text(query)))


def mask(column: str) -> str:
    """Return the SQL; a user and a terminal of the same name are masked differently."""
    message = f"sha256(key || convert_to('{column}:' || {column}, 'UTF8'))"
    return f"encode(substr(sha256(key || {message}), 1, 8), 'hex')"
