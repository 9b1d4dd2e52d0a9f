"""A member of the scoring group as a process: its log, its signals, its last line."""

import typer

from flagpost.scoring import Parts, open_worker
from flagpost.settings import load_settings
from flagpost.stop_signals import stop_on_signals
from flagpost.structured_log import configure_log
from flagpost.warm_up import calm_garbage_collector, share_interpreter


def run_member(parts: Parts, *, until_caught_up: bool) -> None:
    """Score until SIGTERM or Ctrl-C, or until the group has no lag left; then say what was done.

    Raises:
        FlagpostError: it cannot begin, or must not go on.
    """
    configure_log()
    share_interpreter()
    with stop_on_signals() as stop, open_worker(load_settings(), stop, parts) as worker:
        calm_garbage_collector()
        worker.run(until_caught_up=until_caught_up)
    typer.echo(worker.tally)
