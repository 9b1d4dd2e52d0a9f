"""The tables: as the models say, explained by comments, and safe to migrate at any time."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.schema import CreateSchema
from typer.testing import CliRunner

from flagpost.cli import app
from flagpost.core.features import FEATURE_NAMES
from flagpost.errors import SchemaOutdated
from flagpost.postgres.migrations import VERSION_TABLE, VERSIONS, check_schema
from flagpost.postgres.roles import ANALYST, OWNER, set_up_roles
from flagpost.postgres.tables import Base
from flagpost.postgres.upgrade import alembic_config, upgrade

OURS = {"stream", "raw", "feature", "scores", "label", "alert", "analyst"}


@pytest.fixture
def first_version(empty: Engine) -> Engine:
    """A database as the first migration left it, in use."""
    migrate(empty, "0001")
    execute(empty, "INSERT INTO stream.positions VALUES ('t', 0, 'g', 1, 5)")
    execute(
        empty,
        "INSERT INTO scores.fraud_transactions VALUES ('t1', 'u1', NULL, now(), 12.50, 0.9,"
        " 'HIGH', '[]', '1', 't', 0, 4)",
    )
    return empty


@pytest.fixture
def empty(engine: Engine) -> Engine:
    """A database as it was before the first migration."""
    execute(engine, f"DROP SCHEMA {', '.join(OURS)} CASCADE")
    return engine


def migrate(empty: Engine, version: str) -> None:
    with empty.begin() as connection:
        connection.execute(CreateSchema("stream"))
        config = alembic_config()
        config.attributes["connection"] = connection
        command.upgrade(config, version)


def execute(engine: Engine, statement: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(statement))


def query(engine: Engine, statement: str) -> list[tuple[object, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(statement))]


def test_models_and_migrations_agree(engine: Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                **VERSION_TABLE,
                "include_schemas": True,
                "include_name": lambda name, kind, _: kind != "schema" or name in OURS,
                "compare_server_default": True,
                "autogenerate_plugins": [
                    "alembic.autogenerate.*",
                    "alembic.ext.checkconstraint_byname",
                ],
            },
        )
        assert compare_metadata(context, Base.metadata) == []


def test_the_names_of_their_files_tell_the_order_of_the_versions() -> None:
    history = ScriptDirectory.from_config(alembic_config()).walk_revisions()

    assert [script.revision for script in history] == VERSIONS[::-1]


def test_every_schema_table_and_column_has_a_comment(engine: Engine) -> None:
    uncommented = query(
        engine,
        """
        SELECT table_schema, table_name, column_name
        FROM information_schema.columns
        WHERE table_schema IN ('stream', 'raw', 'feature', 'scores', 'label', 'alert', 'analyst')
          AND table_name <> 'schema_version'
          AND (col_description(format('%I.%I', table_schema, table_name)::regclass,
                               ordinal_position) IS NULL
               OR obj_description(format('%I.%I', table_schema, table_name)::regclass) IS NULL
               OR obj_description(table_schema::regnamespace) IS NULL)
        """,
    )
    assert uncommented == []


def test_packed_columns_are_stored_without_trying_to_compress_them(engine: Engine) -> None:
    storage = query(
        engine,
        "SELECT attstorage::text FROM pg_attribute"
        " WHERE attrelid = 'stream.journal'::regclass AND attname = 'columns'",
    )
    assert storage == [("e",)]


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO stream.positions VALUES ('t', 0, 'g', 1, 5, NULL, 5, 3, 1, 0, 0)",
        "INSERT INTO stream.journal VALUES ('t', 0, 'g', 5, 5, now(), now(), '')",
        "INSERT INTO feature.hourly_spread VALUES (now(), 'v', 't', 0, 'g', '{1,NULL}')",
        "INSERT INTO feature.training_spread VALUES ('v', 'amount', 1, '{5}', '{1}')",
        "INSERT INTO raw.marketing_daily VALUES ('2025-01-01', 10, 11)",
        "INSERT INTO alert.levels VALUES ('TOP', 1.5, 'Shout')",
    ],
    ids=[
        "counts that do not add up",
        "an empty segment",
        "a bin without a count",
        "a bin without a share",
        "more clicks than impressions",
        "a score over 1",
    ],
)
def test_the_tables_refuse_what_cannot_be(engine: Engine, statement: str) -> None:
    with pytest.raises(IntegrityError, match="check constraint"):
        execute(engine, statement)


def test_migrating_again_changes_nothing(engine: Engine, database_url: str) -> None:
    execute(engine, "INSERT INTO stream.positions VALUES ('t', 0, 'g', 1, 5)")
    before = query(engine, "SELECT xmin::text, * FROM stream.schema_version")

    upgrade(database_url)

    assert query(engine, "SELECT xmin::text, * FROM stream.schema_version") == before
    assert query(engine, "SELECT next_offset FROM stream.positions") == [(5,)]


def test_older_tables_fail_the_check(first_version: Engine) -> None:
    with pytest.raises(SchemaOutdated, match="older than this program; run: flagpost migrate"):
        check_schema(first_version)


def test_an_upgrade_keeps_what_is_stored(first_version: Engine, database_url: str) -> None:
    upgrade(database_url)

    check_schema(first_version)
    assert query(first_version, "SELECT next_offset FROM stream.positions") == [(5,)]
    flagged = "SELECT transaction_id, kafka_offset, features FROM scores.fraud_transactions"
    assert query(first_version, flagged) == [("t1", 4, None)]
    assert query(first_version, "SELECT * FROM label.latest_fraud_labels") == []


def test_an_upgrade_turns_features_by_name_into_arrays_to_the_bit(
    empty: Engine, database_url: str
) -> None:
    values = [place / 3 for place in range(len(FEATURE_NAMES))]
    by_name = json.dumps(dict(zip(FEATURE_NAMES, values, strict=True)))
    migrate(empty, "0005")
    stored = {"features": by_name}
    with empty.begin() as connection:
        connection.execute(text(
            "INSERT INTO scores.fraud_transactions VALUES ('t1', 'u1', NULL, now(), 12.50, 0.9,"
            " 'HIGH', '[]', '1', 't', 0, 4, now(), :features)"
        ), stored)  # fmt: skip
        connection.execute(text(
            "INSERT INTO scores.fraud_scores VALUES ('t1', now(), 0.9, true, :features, '1')"
        ), stored)  # fmt: skip

    upgrade(database_url)

    assert query(empty, "SELECT features FROM scores.fraud_transactions") == [(values,)]
    assert query(empty, "SELECT features FROM scores.fraud_scores") == [(values,)]
    for everything in ("TABLE scores.flagged_features", "TABLE scores.kept_features"):
        [(transaction_id, _, model_version, *named)] = query(empty, everything)
        assert (transaction_id, model_version, named) == ("t1", "1", values)


def test_a_view_that_is_made_anew_keeps_its_owner_rights_and_comments(
    empty: Engine, database_url: str
) -> None:
    migrate(empty, "0012")
    set_up_roles(empty)
    said = """
        SELECT relowner::regrole::text, relacl::text, obj_description(oid),
               col_description(oid, 1), col_description(oid, 4)
        FROM pg_class WHERE oid = 'analyst.fraud_scores'::regclass
    """
    [before] = query(empty, said)

    upgrade(database_url)

    assert before[0] == OWNER
    assert f"{ANALYST}=r/" in str(before[1])
    assert None not in before
    assert query(empty, said) == [before]


@pytest.mark.parametrize("view", ["flagged_features", "kept_features"])
def test_a_view_names_every_feature_at_its_place(engine: Engine, view: str) -> None:
    [(definition,)] = query(engine, f"SELECT pg_get_viewdef('scores.{view}'::regclass)")

    for place, name in enumerate(FEATURE_NAMES, start=1):
        assert f"features[{place}] AS {name}" in str(definition)
    assert f"features[{len(FEATURE_NAMES) + 1}]" not in str(definition)


def test_the_latest_label_of_a_transaction_counts(engine: Engine) -> None:
    execute(
        engine,
        """
        INSERT INTO label.fraud_labels
            (transaction_id, known_at, is_fraud, ts, topic, partition, kafka_offset)
        VALUES ('t1', '2026-01-05', false, '2026-01-01', 'labels', 0, 1),
               ('t1', '2026-01-03', true, '2026-01-01', 'labels', 0, 2),
               ('t2', '2026-01-03', true, '2026-01-01', 'labels', 0, 3),
               ('t2', '2026-01-03', false, '2026-01-01', 'labels', 0, 4)
        """,
    )

    latest = "SELECT transaction_id, is_fraud FROM label.latest_fraud_labels ORDER BY 1"
    assert query(engine, latest) == [("t1", False), ("t2", True)]


def test_processes_that_migrate_at_once_wait_for_each_other(
    empty: Engine, database_url: str
) -> None:
    with ThreadPoolExecutor() as pool:
        list(pool.map(upgrade, [database_url] * 4))

    check_schema(empty)


def test_a_database_with_tables_of_others_keeps_them(empty: Engine, database_url: str) -> None:
    execute(empty, "CREATE TABLE public.alembic_version (version_num text)")
    execute(empty, "INSERT INTO public.alembic_version VALUES ('theirs')")

    upgrade(database_url)

    check_schema(empty)
    assert query(empty, "SELECT * FROM public.alembic_version") == [("theirs",)]


def test_tables_of_this_program_pass_the_check(engine: Engine) -> None:
    check_schema(engine)


def test_missing_tables_fail_the_check(empty: Engine) -> None:
    with pytest.raises(SchemaOutdated, match="no tables of Flagpost yet; run: flagpost migrate"):
        check_schema(empty)


def test_tables_of_a_newer_program_fail_the_check_and_are_not_touched(
    engine: Engine, database_url: str
) -> None:
    execute(engine, "UPDATE stream.schema_version SET version_num = 'from the future'")

    with pytest.raises(SchemaOutdated, match="newer than this program"):
        check_schema(engine)
    with pytest.raises(SchemaOutdated, match="newer than this program"):
        upgrade(database_url)


def test_the_command_migrates_the_database_of_the_settings(
    empty: Engine, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLAGPOST_DATABASE_URL", database_url)

    result = CliRunner().invoke(app, ["migrate"])

    assert result.exit_code == 0, result.output
    check_schema(empty)
