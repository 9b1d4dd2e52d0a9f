"""The versions of the tables, one file each, and whether those of a database are this program's.

Alembic, which runs them, is left out here: it takes a quarter of a second to import, and a member
that starts anew is waited for.
"""

from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, Text, column, inspect, select, table

from flagpost.errors import SchemaOutdated
from flagpost.postgres.driver_errors import translated

# In a schema of our own: the database may belong to others, who use alembic too.
VERSION_TABLE: Final[dict[str, Any]] = {
    "version_table": "schema_version",
    "version_table_schema": "stream",
}

LOCK_KEY: Final = 0x464C4147  # any number that every version of this program agrees on

VERSIONS: Final = sorted(
    path.name.partition("_")[0] for path in (Path(__file__).parent / "versions").glob("[0-9]*.py")
)
"""All that this program knows, the newest last: their files begin with them."""


def check_schema(engine: Engine) -> None:
    """Return if the tables are those of this program.

    Raises:
        SchemaOutdated: they are missing, older or newer; the message says what to do.
        BadConfiguration: the server refuses access.
        Unavailable: the server does not answer.
    """
    with translated(), engine.connect() as connection:
        installed = installed_versions(connection)
    refuse_newer(installed)
    if not installed:
        raise SchemaOutdated("the database has no tables of Flagpost yet; run: flagpost migrate")
    if installed != {VERSIONS[-1]}:
        raise SchemaOutdated("the tables are older than this program; run: flagpost migrate")


def installed_versions(connection: Connection) -> set[str]:
    """Return the version of the tables; none if there are none."""
    name, schema = VERSION_TABLE.values()
    if not inspect(connection).has_table(name, schema):
        return set()
    version = column("version_num", Text)
    return set(connection.scalars(select(version).select_from(table(name, version, schema=schema))))


def refuse_newer(installed: set[str]) -> None:
    """Raise `SchemaOutdated` if the tables are of a version that this program does not know."""
    if installed - set(VERSIONS):
        raise SchemaOutdated("the tables are newer than this program; install a later flagpost")
