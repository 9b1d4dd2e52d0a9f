"""Fixtures of the tests that every store has to pass."""

from collections.abc import Iterator

import pytest

from flagpost.core.store import Store
from tests.contract.backends import Backend, MemoryBackend, postgres_backend


@pytest.fixture(params=["memory", "psycopg", "psycopg2"])
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    if request.param == "memory":
        yield MemoryBackend()
        return
    url = request.getfixturevalue("database_url")
    with postgres_backend(url, driver=request.param) as backend:
        yield backend


@pytest.fixture
def store(backend: Backend) -> Store:
    return backend.store()
