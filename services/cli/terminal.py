"""What the commands say to the person at the terminal, and how they end when something cannot be done."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, ParamSpec, TypeVar

import typer
from rich.console import Console

from services.local.errors import LocalError
from services.local.state import VARIABLE

P = ParamSpec("P")
T = TypeVar("T")

out = Console(highlight=False, soft_wrap=True)
err = Console(highlight=False, soft_wrap=True, stderr=True)

StateOption = Annotated[
    Path | None,
    typer.Option("--state", envvar=VARIABLE, help="Where the mesh keeps everything.", show_default="user data folder"),
]


def say(line: str) -> None:
    """A line of progress; never markup, since it may quote what somebody else wrote."""
    out.print(line, markup=False)


def plainly(command: Callable[P, T]) -> Callable[P, T]:
    """Ends the command with one line and exit code 1 where it cannot do its work, instead of a traceback."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return command(*args, **kwargs)
        except LocalError as error:
            err.print(f"voicemesh: {error}", markup=False)
            raise typer.Exit(1) from None

    return run
