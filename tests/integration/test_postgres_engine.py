"""What comes back when PostgreSQL cannot be reached or does not let us in."""

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from flagpost.errors import BadConfiguration, FlagpostError, SchemaOutdated, Unavailable
from flagpost.events import Partition
from flagpost.postgres.driver_errors import translated
from flagpost.postgres.engine import create_engine
from flagpost.postgres.kept_session import KeptSession
from flagpost.postgres.store import PostgresStore
from flagpost.postgres.time_limit import PATIENCE
from tests.integration.sessions import end_other_sessions

WRONG = "hunter2"
DRIVERS = ["postgresql+psycopg", "postgresql+psycopg2"]


@pytest.fixture(params=DRIVERS)
def driver(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def failure(database_url: str) -> FlagpostError:
    """Use the store once and return what it raises."""
    engine = create_engine(database_url)
    try:
        with pytest.raises(FlagpostError) as failed:
            PostgresStore(engine, "scorers").acquire({Partition("transactions", 0): 0})
    finally:
        engine.dispose()
    return failed.value


def changed(database_url: str, driver: str, **parts: object) -> str:
    url = make_url(database_url).set(drivername=driver, **parts)  # type: ignore[arg-type]
    return url.render_as_string(hide_password=False)


def with_options(database_url: str, driver: str, options: str) -> str:
    url = make_url(database_url).set(drivername=driver).update_query_dict({"options": options})
    return url.render_as_string(hide_password=False)


def test_a_wrong_password_is_a_matter_of_configuration(database_url: str, driver: str) -> None:
    error = failure(changed(database_url, driver, password=WRONG))

    assert isinstance(error, BadConfiguration)
    assert "password authentication failed" in str(error)
    assert WRONG not in f"{error} {error.__cause__!r} {error.__cause__}"


def test_an_unknown_database_is_a_matter_of_configuration(database_url: str, driver: str) -> None:
    error = failure(changed(database_url, driver, database="nowhere"))

    assert isinstance(error, BadConfiguration)
    assert 'database "nowhere" does not exist' in str(error)


def test_a_role_without_rights_is_a_matter_of_configuration(database_url: str, driver: str) -> None:
    error = failure(with_options(database_url, driver, "-c role=pg_monitor"))

    assert isinstance(error, BadConfiguration)
    assert "permission denied" in str(error)


@pytest.mark.parametrize("parts", [{"port": 1}, {"host": "nowhere.invalid"}])
def test_a_server_that_does_not_answer_is_unavailable(
    database_url: str, driver: str, parts: dict[str, object]
) -> None:
    error = failure(changed(database_url, driver, **parts))

    assert isinstance(error, Unavailable)
    assert "\n" not in str(error)


def test_a_server_that_only_reads_is_unavailable(database_url: str, driver: str) -> None:
    error = failure(with_options(database_url, driver, "-c default_transaction_read_only=on"))

    assert isinstance(error, Unavailable)


@pytest.mark.parametrize(
    "damage",
    [
        "DROP SCHEMA stream CASCADE",
        "DROP TABLE stream.positions",
        "ALTER TABLE stream.positions DROP COLUMN event_time",
    ],
)
def test_missing_tables_and_columns_name_the_command_that_creates_them(
    database_url: str, driver: str, damage: str
) -> None:
    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text(damage))
    engine.dispose()

    error = failure(changed(database_url, driver))

    assert isinstance(error, SchemaOutdated)
    assert "flagpost migrate" in str(error)


def test_an_error_of_the_program_passes_through_without_its_values(engine: Engine) -> None:
    with pytest.raises(DBAPIError, match="division by zero") as bug:
        divide_by_zero(engine)

    assert "4111" not in str(bug.value)


def divide_by_zero(engine: Engine) -> None:
    with translated(), engine.connect() as connection:
        connection.execute(text("SELECT 1 / (:value - :value)"), {"value": 4111})


def test_sessions_are_bounded_and_named(engine: Engine) -> None:
    query = text(
        "SELECT current_setting('application_name'), current_setting('lock_timeout'),"
        " current_setting('idle_in_transaction_session_timeout'),"
        " current_setting('statement_timeout'), current_setting('timezone')"
    )
    with engine.connect() as connection:
        assert tuple(connection.execute(query).one()) == ("flagpost", "20s", "10s", "1min", "UTC")


def test_the_url_may_set_options_of_its_own(database_url: str) -> None:
    own = create_engine(with_options(database_url, DRIVERS[0], "-c lock_timeout=3s"))
    with own.connect() as connection:
        assert connection.scalar(text("SHOW lock_timeout")) == "3s"
        assert connection.scalar(text("SHOW timezone")) == "UTC"
    own.dispose()


def test_the_fence_has_the_isolation_that_it_relies_on_whatever_the_url_says(
    database_url: str, driver: str
) -> None:
    options = r"-c default_transaction_isolation=serializable"
    engine = create_engine(with_options(database_url, driver, options))
    asked = select(text("current_setting('transaction_isolation')"))
    with engine.connect() as connection:
        found = [connection.scalar(asked)]
    [[also]] = KeptSession(engine, asked, PATIENCE).send({})()
    engine.dispose()

    assert [*found, also] == ["read committed"] * 2


def test_an_error_on_a_kept_session_is_sqlalchemys_and_tells_no_values(
    database_url: str, driver: str
) -> None:
    engine = create_engine(changed(database_url, driver))
    session = KeptSession(engine, select(text("1 / cast(:secret AS int)")), PATIENCE)

    with pytest.raises(DataError) as failed:
        session.send({"secret": "4711x"})()
    again = session.send({"secret": "1"})()
    engine.dispose()

    assert again == [(1,)]
    assert "4711" not in str(failed.value.statement) + str(failed.value.params)


def test_a_transaction_that_fails_after_its_rows_have_come_has_failed(
    database_url: str, driver: str, engine: Engine
) -> None:
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE late (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)"))
        connection.execute(text("INSERT INTO late VALUES (1)"))
        connection.execute(
            text(
                "CREATE FUNCTION add_late() RETURNS int LANGUAGE sql VOLATILE AS"
                " 'INSERT INTO late VALUES (1) RETURNING n'"
            )
        )
    own = create_engine(changed(database_url, driver))
    session = KeptSession(own, select(text("add_late()")), PATIENCE)

    with pytest.raises(IntegrityError):
        session.send({})()
    own.dispose()
    with engine.begin() as connection:
        connection.execute(text("DROP FUNCTION add_late"))
        connection.execute(text("DROP TABLE late"))


def test_a_server_that_was_away_is_unavailable_once_for_the_session_of_commits_too(
    database_url: str, driver: str, engine: Engine
) -> None:
    both = create_engine(changed(database_url, driver))
    store, partition = PostgresStore(both, "scorers"), Partition("transactions", 0)
    store.rehearse()
    store.acquire({partition: 0})
    end_other_sessions(engine)

    with pytest.raises(Unavailable):
        store.acquire({partition: 0})
    store.acquire({partition: 0})
    store.rehearse()
    both.dispose()
