"""The verbs of the `flagpost` command that concern the database."""

import typer

from flagpost.postgres import migrations
from flagpost.settings import load_settings


def migrate() -> None:
    """Create the tables, or bring them up to date; safe to repeat, and to run twice at once.

    Example: FLAGPOST_DATABASE_URL=postgresql://user:password@host/flagpost flagpost migrate
    """
    migrations.upgrade(load_settings().database_url.get_secret_value())
    typer.echo("The tables are up to date.")
