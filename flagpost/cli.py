"""The `flagpost` command: one verb each for what is not a script of its own."""

import typer

from flagpost.local.commands import down, status, up
from flagpost.postgres.commands import migrate
from flagpost.training.commands import simulate

app = typer.Typer(
    help="Score a Kafka stream of card transactions for fraud; commit each decision once.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for verb in (up, down, status, migrate, simulate):
    app.command()(verb)
