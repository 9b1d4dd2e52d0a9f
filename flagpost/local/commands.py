"""`flagpost down`: Kafka and PostgreSQL of this working copy."""

import typer

from flagpost.local.stack import stop_stack
from flagpost.settings import HOME


def down() -> None:
    """Stop Apache Kafka and PostgreSQL of this directory; their data stay.

    Example: flagpost down
    """
    stop_stack(HOME, typer.echo)
    typer.echo(f"Nothing of the stack runs here; its data stay in {HOME}.")
