"""The verbs of the `flagpost` command that concern the database."""

from typing import Annotated

import typer

from flagpost.postgres.engine import create_engine
from flagpost.postgres.roles import set_up_roles, statements
from flagpost.postgres.upgrade import upgrade
from flagpost.settings import load_settings


def migrate() -> None:
    """Create the tables, or bring them up to date; safe to repeat, and to run twice at once.

    Example: FLAGPOST_DATABASE_URL=postgresql://user:password@host/flagpost flagpost migrate
    """
    upgrade(load_settings().database_url.get_secret_value())
    typer.echo("The tables are up to date.")


def roles(
    *,
    sql: Annotated[
        bool, typer.Option("--sql", help="Print the SQL and connect to nothing.")
    ] = False,
) -> None:
    """Make the roles flagpost_owner, _scorer, _api and _analyst, and set their rights here.

    Safe to repeat, and to be repeated after each `flagpost migrate`: a new table is closed to all
    until then. Grant a role to a login: GRANT flagpost_scorer TO worker_1.

    Example: flagpost roles --sql | psql "$ADMIN_URL"
    """
    if sql:
        typer.echo("BEGIN;\n" + "".join(f"{each};\n" for each in statements()) + "COMMIT;")
        return
    engine = create_engine(load_settings().database_url.get_secret_value())
    try:
        set_up_roles(engine)
    finally:
        engine.dispose()
    typer.echo("The roles are there, and their rights are set in this database.")
