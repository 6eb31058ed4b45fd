"""voicemesh status: how the processes of the mesh are doing."""

import asyncio
import datetime

import typer
from rich.table import Table

from services.cli.terminal import StateOption, out, plainly, say
from services.local import overview, state

NOT_RUNNING = 3
"""The exit code for it, as of any service's status command."""

COLOURS = {"ready": "green", "not ready": "yellow", "down": "red"}


@plainly
def status(folder: StateOption = None) -> None:
    """Show each process with its health. Exit code 3 if nothing runs, 1 if something is not ready."""
    place = state.at(folder)
    rows = asyncio.run(overview.look(place))
    if rows is None:
        say(f"nothing runs on {place.folder}")
        raise typer.Exit(NOT_RUNNING)
    table = Table("process", "pid", "address", "health", "uptime", "restarts", box=None, pad_edge=False)
    for row in rows:
        uptime = "" if row.uptime is None else str(datetime.timedelta(seconds=round(row.uptime)))
        health = f"[{COLOURS[row.health]}]{row.health}[/]"
        table.add_row(row.process, str(row.pid or ""), row.address, health, uptime, str(row.restarts))
    out.print(table)
    if any(row.health != "ready" for row in rows):
        raise typer.Exit(1)
