"""Writes a made-up journal to the database.

Example: python -m bench.programs.write_journal 1000000
"""

import typer
from sqlalchemy import text

from bench.segments import GROUP, make_segments
from flagpost.postgres import journal
from flagpost.postgres.engine import create_engine
from flagpost.settings import load_settings


def main(n_events: int) -> None:
    """Write the segments of about so many transactions, and nothing else."""
    engine = create_engine(load_settings().database_url.get_secret_value())
    with engine.begin() as connection:
        for segment in make_segments(n_events):
            connection.execute(
                journal.insertion(text("true")), journal.parameters(GROUP, [segment])
            )
    engine.dispose()


if __name__ == "__main__":
    typer.run(main)
