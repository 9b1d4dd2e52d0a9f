"""Fixtures of the tests that ask PostgreSQL itself."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine

from flagpost.postgres.engine import create_engine


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """A connection to a migrated, empty database of this test's own."""
    engine = create_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Threads that wait for the database; all are done when the test is."""
    with ThreadPoolExecutor() as pool:
        yield pool
