"""Brings the tables up to date, and tells whether they are."""

from typing import Any, Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, func, select, text
from sqlalchemy.schema import CreateSchema

from flagpost.errors import SchemaOutdated
from flagpost.postgres.driver_errors import translated
from flagpost.postgres.engine import create_engine

# In a schema of our own: the database may belong to others, who use alembic too.
VERSION_TABLE: Final[dict[str, Any]] = {
    "version_table": "schema_version",
    "version_table_schema": "stream",
}

LOCK_KEY: Final = 0x464C4147  # any number that every version of this program agrees on


def upgrade(database_url: str) -> None:
    """Create or upgrade the tables in one transaction; does nothing when they are up to date.

    Blocks while another process upgrades the same database.

    Raises:
        BadConfiguration: the URL is wrong, or the server refuses access.
        Unavailable: the server does not answer.
        SchemaOutdated: the tables are newer than this program.
    """
    engine = create_engine(database_url)
    try:
        with translated(), engine.begin() as connection:
            _upgrade(connection)
    finally:
        engine.dispose()


def check_schema(engine: Engine) -> None:
    """Return if the tables are those of this program.

    Raises:
        SchemaOutdated: they are missing, older or newer; the message says what to do.
        BadConfiguration: the server refuses access.
        Unavailable: the server does not answer.
    """
    with translated(), engine.connect() as connection:
        installed = _installed(connection)
    _refuse_newer(installed)
    if not installed:
        raise SchemaOutdated("the database has no tables of Flagpost yet; run: flagpost migrate")
    if installed != set(_scripts().get_heads()):
        raise SchemaOutdated("the tables are older than this program; run: flagpost migrate")


def _upgrade(connection: Connection) -> None:
    # A migration may take long, and so may the other process that holds the lock.
    connection.execute(text("SET LOCAL lock_timeout = 0"))
    connection.execute(text("SET LOCAL statement_timeout = 0"))
    connection.execute(select(func.pg_advisory_xact_lock(LOCK_KEY)))
    _refuse_newer(_installed(connection))
    connection.execute(CreateSchema(VERSION_TABLE["version_table_schema"], if_not_exists=True))
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _installed(connection: Connection) -> set[str]:
    return set(MigrationContext.configure(connection, opts=VERSION_TABLE).get_current_heads())


def _refuse_newer(installed: set[str]) -> None:
    known = {script.revision for script in _scripts().walk_revisions()}
    if installed - known:
        raise SchemaOutdated("the tables are newer than this program; install a later flagpost")


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "flagpost.postgres:migrations")
    config.set_main_option("path_separator", "newline")
    return config
