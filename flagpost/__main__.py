"""`python -m flagpost`: the command, where its script is not installed."""

from flagpost.cli import app

app(prog_name="flagpost")
