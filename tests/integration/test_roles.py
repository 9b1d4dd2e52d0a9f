"""The roles of the database: each logs in and tries everything that it must not do."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
from psycopg.errors import (
    FeatureNotSupported,
    InsufficientPrivilege,
    ObjectNotInPrerequisiteState,
    WrongObjectType,
)
from psycopg.sql import SQL, Identifier
from typer.testing import CliRunner

from flagpost.cli import app
from flagpost.errors import BadConfiguration
from flagpost.postgres.engine import create_engine
from flagpost.postgres.roles import ANALYST, API, RIGHTS, SCHEMAS, SCORER, set_up_roles
from tests.logins import login_with
from tests.stack import Servers

SECURITY_PAGE = Path(__file__).parents[2] / "docs" / "security.md"
Logins = dict[str, psycopg.Connection]
ROLES = list(RIGHTS)
VERBS = {
    "SELECT": "SELECT * FROM {table} LIMIT 0",
    "INSERT": "INSERT INTO {table} DEFAULT VALUES",
    "UPDATE": "UPDATE {table} SET {column} = NULL WHERE false",
    "DELETE": "DELETE FROM {table} WHERE false",
    "TRUNCATE": "TRUNCATE {table}",
}
NEVER = {
    "ALTER": "ALTER TABLE {table} ADD COLUMN mine int",
    "DROP TABLE": "DROP TABLE {table}",
    "DROP VIEW": "DROP VIEW {table}",
    "CREATE": "CREATE TABLE {schema}.mine (id int)",
    "INDEX": "CREATE INDEX ON {table} ({column})",
    "TRIGGER": "CREATE TRIGGER mine AFTER INSERT ON {table} EXECUTE FUNCTION mine()",
}


@pytest.fixture
def owned(database_url: str) -> str:
    """A database with all rights set, to which a table was added since."""
    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO scores.fraud_transactions VALUES"
            " ('t1', 'C00001', 'S1', now(), 1, 1, 'HIGH', '[]', 'v', 't', 0, 0)")  # fmt: skip
        connection.exec_driver_sql("INSERT INTO label.fraud_labels VALUES"
            " ('t1', now(), true, 'bank', 'C00001', NULL, now(), 't', 0, 0)")  # fmt: skip
    set_up_roles(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE stream.added_later (id int)")
    engine.dispose()
    return database_url


@pytest.fixture
def logins(owned: str, stack: Servers) -> Iterator[Logins]:
    """A connection for each role, made by a login that has this role alone."""
    with ExitStack() as opened:
        urls = {role: opened.enter_context(login_with(role, owned, stack)) for role in ROLES}
        yield {
            role: opened.enter_context(psycopg.connect(url, autocommit=True))
            for role, url in urls.items()
        }


def tables(database_url: str) -> list[tuple[str, str, str]]:
    """Every table and view in our schemas, with its first column."""
    with psycopg.connect(database_url) as connection:
        return connection.execute(
            "SELECT table_schema, table_name, column_name FROM information_schema.columns"
            " WHERE table_schema = ANY (%s) AND ordinal_position = 1",
            [list(SCHEMAS)],
        ).fetchall()


def may(connection: psycopg.Connection, statement: str, schema: str, name: str, first: str) -> bool:
    """Whether a statement gets past the check of rights, whatever comes of it."""
    parts = {
        "table": SQL(".").join([Identifier(schema), Identifier(name)]),
        "schema": Identifier(schema),
        "column": Identifier(first),
    }
    try:
        connection.execute(SQL(statement).format(**parts))
    except InsufficientPrivilege:
        return False
    except (ObjectNotInPrerequisiteState, FeatureNotSupported, WrongObjectType):
        return False  # nobody can do that with a view
    except psycopg.Error:
        return True
    return True


@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_do_what_is_listed_and_nothing_else(
    role: str, owned: str, logins: Logins
) -> None:
    found = {
        (f"{schema}.{name}", verb)
        for schema, name, first in tables(owned)
        for verb, statement in (VERBS | NEVER).items()
        if may(logins[role], statement, schema, name, first)
    }

    assert found == {
        (table, verb)
        for table, verbs in RIGHTS[role].items()
        for verb in verbs
        if "(" not in verb  # some columns only: not this whole table
    }


def test_the_catalog_has_the_tables_that_are_tried(owned: str) -> None:
    tried = {f"{schema}.{name}" for schema, name, _ in tables(owned)}

    assert tried >= {"stream.added_later", *(t for rights in RIGHTS.values() for t in rights)}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    "statement",
    ["CREATE TABLE public.mine (id int)", "CREATE SCHEMA mine", "CREATE ROLE mine",
     "SET ROLE flagpost_owner", "COPY (SELECT 1) TO PROGRAM 'true'",
     "SELECT pg_read_file('/etc/passwd')"],
)  # fmt: skip
def test_no_role_leaves_its_place(role: str, statement: str, logins: Logins) -> None:
    with pytest.raises(InsufficientPrivilege):
        logins[role].execute(statement.encode())


def test_the_scorer_sees_keys_of_flagged_transactions_and_no_customer(logins: Logins) -> None:
    logins[SCORER].execute("SELECT transaction_id FROM scores.fraud_transactions")

    with pytest.raises(InsufficientPrivilege):
        logins[SCORER].execute("SELECT user_id FROM scores.fraud_transactions")


def test_an_analyst_sees_masked_ids_that_join(logins: Logins) -> None:
    [row] = logins[ANALYST].execute(
        "SELECT flagged.*, is_fraud FROM analyst.fraud_transactions AS flagged"
        " JOIN analyst.latest_fraud_labels USING (masked_transaction_id, masked_user_id)"
    )

    assert row[-1] is True
    assert not {"t1", "C00001", "S1"} & set(row)
    assert len({len(masked) for masked in row[:3]}) == 1


def test_no_id_stays_no_id(logins: Logins) -> None:
    [row] = logins[ANALYST].execute("SELECT masked_terminal_id FROM analyst.latest_fraud_labels")

    assert row == (None,)


def test_what_everybody_may_by_default_can_be_taken_back(owned: str, logins: Logins) -> None:
    [statements] = re.findall(r"```sql\n(DO .*?)```", SECURITY_PAGE.read_text(), re.DOTALL)
    tried = "CREATE TEMPORARY TABLE mine (id int)", "SELECT lo_create(0)"
    with logins[ANALYST].transaction(force_rollback=True):
        for statement in tried:
            logins[ANALYST].execute(statement.encode())

    with psycopg.connect(owned) as connection:
        connection.execute(statements.encode())

    for statement in tried:
        with pytest.raises(InsufficientPrivilege):
            logins[ANALYST].execute(statement.encode())


def test_what_was_granted_by_hand_is_taken_back(owned: str, logins: Logins) -> None:
    engine = create_engine(owned)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"GRANT ALL ON stream.positions TO {API}")
    logins[API].execute("DELETE FROM stream.positions")

    set_up_roles(engine)
    engine.dispose()

    with pytest.raises(InsufficientPrivilege):
        logins[API].execute("DELETE FROM stream.positions")


def test_who_may_not_set_rights_is_told_who_can(owned: str, stack: Servers) -> None:
    with login_with(SCORER, owned, stack) as url:
        engine = create_engine(url)
        with pytest.raises(BadConfiguration, match="flagpost roles --sql"):
            set_up_roles(engine)
        engine.dispose()


def test_the_command_prints_what_it_would_run(owned: str) -> None:
    printed = CliRunner().invoke(app, ["roles", "--sql"]).stdout

    with psycopg.connect(owned, autocommit=True) as connection:
        connection.execute(printed.encode())
        connection.execute("SET ROLE flagpost_owner")
        connection.execute("ALTER TABLE stream.added_later ADD COLUMN more int")
