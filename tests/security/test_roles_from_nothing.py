"""The roles on a server that has none yet, made by a user who is no superuser."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from sqlalchemy.engine import make_url

from flagpost.errors import BadConfiguration
from flagpost.postgres.engine import create_engine
from flagpost.postgres.roles import OWNER, RIGHTS, set_up_roles
from flagpost.postgres.upgrade import upgrade
from tests.security.conftest import PASSWORD
from tests.security.postgres import SecurePostgres


@pytest.fixture
def databases(postgres: SecurePostgres) -> Iterator[list[str]]:
    """Two migrated databases that belong to a user who may make roles and databases."""
    names = ["first", "second"]
    with psycopg.connect(postgres.verified_url, autocommit=True) as server:
        server.execute(f"CREATE ROLE migrator LOGIN CREATEROLE PASSWORD '{PASSWORD}'")
        for name in names:
            server.execute(f"CREATE DATABASE {name} OWNER migrator")
        url = make_url(postgres.verified_url).set(username="migrator")
        urls = [url.set(database=name).render_as_string(hide_password=False) for name in names]
        for each in urls:
            upgrade(each)
        yield urls
        for name in names:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")
        server.execute(f"DROP ROLE {', '.join((OWNER, *RIGHTS))}")
        server.execute("DROP ROLE migrator")


def set_up(database_url: str) -> None:
    engine = create_engine(database_url)
    try:
        set_up_roles(engine)
    finally:
        engine.dispose()


def test_two_databases_at_once_share_the_roles_they_make(databases: list[str]) -> None:
    with ThreadPoolExecutor() as pool:
        list(pool.map(set_up, databases * 2))

    for url in databases:
        upgrade(url)  # the user still may, as one of the owners
        with psycopg.connect(url) as connection:
            owners = "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'stream'"
            assert connection.execute(owners).fetchall() == [(OWNER,)]


def test_a_user_who_may_not_make_roles_is_told_who_can(
    postgres: SecurePostgres, databases: list[str]
) -> None:
    with psycopg.connect(postgres.verified_url, autocommit=True) as server:
        server.execute("ALTER ROLE migrator NOCREATEROLE")

    with pytest.raises(BadConfiguration, match=r"permission denied to create role.*roles --sql"):
        set_up(databases[0])
    set_up(
        make_url(postgres.verified_url).set(database="first").render_as_string(hide_password=False)
    )
