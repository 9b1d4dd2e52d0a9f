"""How every command ends: with one line that says what to do, and an exit code."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import typer

from flagpost.errors import FlagpostError

INTERRUPTED_EXIT_CODE = 130

P = ParamSpec("P")
R = TypeVar("R")


def program(help_text: str | None = None) -> typer.Typer:
    """Return an app for commands; one with a text of its own shows it when no command is given.

    Help flows to the width of the terminal, and a bug keeps its plain trace.
    """
    return typer.Typer(
        help=help_text,
        no_args_is_help=help_text is not None,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",
    )


def run_program(command: Callable[..., None]) -> None:
    """Run a program of one command, with the arguments of this process."""
    app = program()
    app.command()(command)
    app()


def entry_point(command: Callable[P, R]) -> Callable[P, R]:
    """Make a typer command print `error: ...` and exit by the error's code; Ctrl-C exits by 130.

    Notes on an error, such as the end of a server's log, come below its line. An exception outside
    of `FlagpostError` is a bug and keeps its trace.
    """

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except FlagpostError as error:
            for line in (f"error: {error}", *getattr(error, "__notes__", ())):
                typer.echo(line, err=True)
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED_EXIT_CODE) from None

    return run
