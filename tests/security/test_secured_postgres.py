"""Both drivers against a PostgreSQL that lets nobody in without TLS."""

import pytest

from flagpost.errors import BadConfiguration
from flagpost.postgres.engine import create_engine
from flagpost.postgres.migrations import check_schema
from flagpost.postgres.upgrade import upgrade
from tests.security.certificates import Authority
from tests.security.conftest import PASSWORD
from tests.security.postgres import SecurePostgres

DRIVERS = ["postgresql+psycopg", "postgresql+psycopg2"]
REFUSED = {
    "no encryption": ("sslmode=disable", "no pg_hba.conf entry .* no encryption"),
    "unknown authority": ("sslmode=verify-full&sslrootcert={foreign}", "certificate verify failed"),
    "another host": (
        "sslmode=verify-full&sslrootcert={ca}&host=localhost",
        'certificate for "127.0.0.1" does not match host name "localhost"',
    ),
    "no authority": (
        "sslmode=verify-full&sslrootcert=none.pem",
        'root certificate file "none.pem" does not exist',
    ),
    "an unknown mode": ("sslmode=maybe", "invalid sslmode"),
}


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
def test_the_url_asks_for_tls(postgres: SecurePostgres, driver: str, mode: str) -> None:
    url = postgres.url(f"sslmode={mode}&sslrootcert={postgres.authority.ca_file}", driver)

    upgrade(url)

    engine = create_engine(url)
    check_schema(engine)
    with engine.connect() as connection:
        ssl = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        assert connection.exec_driver_sql(ssl).scalar() is True
    engine.dispose()


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("case", REFUSED)
def test_a_refusal_is_a_matter_of_configuration(
    postgres: SecurePostgres, foreign_ca: Authority, driver: str, case: str
) -> None:
    query, named = REFUSED[case]
    query = query.format(ca=postgres.authority.ca_file, foreign=foreign_ca.ca_file)

    with pytest.raises(
        BadConfiguration, match=f"{named}.*; check FLAGPOST_DATABASE_URL"
    ) as refused:
        upgrade(postgres.url(query, driver))

    assert "\n" not in str(refused.value)
    assert PASSWORD not in str(refused.value)
