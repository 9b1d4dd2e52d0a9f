"""`flagpost down` and `status`: Kafka and PostgreSQL of this working copy."""

import typer
from rich.console import Console

from flagpost.local.overview import overview
from flagpost.local.stack import servers_of, stop_stack
from flagpost.settings import HOME


def down() -> None:
    """Stop Apache Kafka and PostgreSQL of this directory; their data stay.

    Example: flagpost down
    """
    stop_stack(HOME, typer.echo)
    typer.echo(f"Nothing of the stack runs here; its data stay in {HOME}.")


def status() -> None:
    """Show what runs here, where, since when, and how much it stores; exit 1 unless both run.

    Example: flagpost status
    """
    Console().print(overview(HOME))
    if any(server.process() is None for server in servers_of(HOME)):
        raise typer.Exit(1)
