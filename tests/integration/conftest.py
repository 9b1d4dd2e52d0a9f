"""Fixtures of the tests that ask PostgreSQL itself."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from sqlalchemy import Engine

from flagpost.postgres.engine import create_engine

Connect = Callable[..., Engine]


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """A connection to a migrated, empty database of this test's own."""
    engine = create_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def connect(database_url: str) -> Iterator[Connect]:
    """A function that returns a new engine, one for each member."""
    with ExitStack() as opened:

        def connect() -> Engine:
            engine = create_engine(database_url)
            opened.callback(engine.dispose)
            return engine

        yield connect


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Threads that wait for the database; all are done when the test is."""
    with ThreadPoolExecutor() as pool:
        yield pool
