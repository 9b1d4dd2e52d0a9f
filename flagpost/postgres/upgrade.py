"""Brings the tables up to date."""

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, func, select, text
from sqlalchemy.schema import CreateSchema

from flagpost.postgres.driver_errors import translated
from flagpost.postgres.engine import create_engine
from flagpost.postgres.migrations import (
    LOCK_KEY,
    VERSION_TABLE,
    installed_versions,
    refuse_newer,
)


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


def _upgrade(connection: Connection) -> None:
    # A migration may take long, and so may the other process that holds the lock.
    connection.execute(text("SET LOCAL lock_timeout = 0"))
    connection.execute(text("SET LOCAL statement_timeout = 0"))
    connection.execute(select(func.pg_advisory_xact_lock(LOCK_KEY)))
    refuse_newer(installed_versions(connection))
    connection.execute(CreateSchema(VERSION_TABLE["version_table_schema"], if_not_exists=True))
    config = alembic_config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def alembic_config() -> Config:
    """Return where alembic finds the migrations."""
    config = Config()
    config.set_main_option("script_location", "flagpost.postgres:migrations")
    config.set_main_option("path_separator", "newline")
    return config
