"""Loads the state behind a made-up journal as a worker does that takes its partitions over.

Example: python -m bench.programs.fold 1000000
"""

import time

import msgspec
import typer

from bench.segments import GROUP, partitions_of
from bench.state import Loaded
from flagpost.core.state import State
from flagpost.model_signature import model_key
from flagpost.postgres.engine import create_engine
from flagpost.postgres.store import PostgresStore
from flagpost.saved_model import load_saved_model
from flagpost.settings import load_settings
from flagpost.warm_up import load_kernels


def main(n_events: int) -> None:
    """Print what it took as JSON."""
    settings = load_settings()
    load_kernels(load_saved_model(settings.model, model_key(settings.model_key)).scoring_rules())
    store = PostgresStore(create_engine(settings.database_url.get_secret_value()), GROUP)
    state, began = State(), time.perf_counter()
    for segment in store.load_segments(partitions_of(n_events), {}):
        state.fold(segment)
    loaded = Loaded(seconds=time.perf_counter() - began, state_bytes=state.n_bytes)
    typer.echo(msgspec.json.encode(loaded).decode())


if __name__ == "__main__":
    typer.run(main)
