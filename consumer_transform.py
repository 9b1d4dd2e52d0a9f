"""One member of the scoring group: transforms each message, scores it, commits what it flags.

Run it once or many times: members with the same FLAGPOST_GROUP share the topic's partitions.
"""

import gc

if __name__ == "__main__":
    gc.disable()  # until all is loaded: to look for garbage in it takes a fifth of the start

from typing import Annotated

import typer

from flagpost.entry_point import entry_point, run_program
from flagpost.member import run_member
from flagpost.scoring import Parts


@entry_point
def main(
    *,
    until_caught_up: Annotated[
        bool, typer.Option("--until-caught-up", help="Stop when the group has no lag left.")
    ] = False,
) -> None:
    """Score transactions until SIGTERM or Ctrl-C; then finish the batch and leave the group.

    Settings come from FLAGPOST_* variables, or from what `flagpost up` has written.

    Example: python consumer_transform.py --until-caught-up
    """
    run_member(Parts(), until_caught_up=until_caught_up)


if __name__ == "__main__":
    run_program(main)
