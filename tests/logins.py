"""Logins of the tests."""

import secrets
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.sql import SQL, Identifier, Literal
from sqlalchemy.engine import make_url

from tests.stack import Servers


@contextmanager
def login_with(role: str, database_url: str, stack: Servers) -> Iterator[str]:
    """Make a login that has one role; yields its URL of the database, and removes it."""
    name, password = f"test_{uuid.uuid4().hex}", secrets.token_hex(8)
    create = SQL("CREATE ROLE {} LOGIN PASSWORD {} IN ROLE {}")
    with psycopg.connect(stack.database_url, autocommit=True) as server:
        server.execute(create.format(Identifier(name), Literal(password), Identifier(role)))
        try:
            url = make_url(database_url).set(username=name, password=password)
            yield url.render_as_string(hide_password=False)
        finally:
            server.execute(SQL("DROP ROLE {}").format(Identifier(name)))
