"""Servers that let nobody in without TLS and a password, started once per run."""

from collections.abc import Iterator

import pytest

from tests.security.certificates import Authority, authority
from tests.security.kafka import SecureKafka, secure_kafka
from tests.security.postgres import SecurePostgres, secure_postgres

PASSWORD = "correct-horse-battery"  # noqa: S105 - of servers that live as long as the tests


@pytest.fixture(scope="session")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority that signed what the servers show."""
    return authority(tmp_path_factory.mktemp("certificates") / "ours")


@pytest.fixture(scope="session")
def foreign_ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that neither server knows."""
    return authority(tmp_path_factory.mktemp("certificates") / "foreign")


@pytest.fixture(scope="session")
def kafka(ca: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    with secure_kafka(tmp_path_factory.mktemp("kafka"), ca, PASSWORD) as broker:
        yield broker


@pytest.fixture(scope="session")
def postgres(ca: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecurePostgres]:
    home = tmp_path_factory.mktemp("postgres")
    with secure_postgres(home, ca, ca.sign("postgres"), PASSWORD) as server:
        yield server
