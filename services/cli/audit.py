"""voicemesh audit: the audit log, as whoever runs the platform sees it."""

import asyncio
import os
from pathlib import Path
from typing import Annotated

import psycopg
import typer
from pydantic import ValidationError

from services.cli.terminal import StateOption, plainly, say
from services.local import databases, state
from services.local.errors import LocalError
from services.mesh.audit.verification import Checkpoint, Findings, verify

app = typer.Typer(help="The audit log.", no_args_is_help=True)


@app.callback()
def audit() -> None:
    """Keeps `verify` a command of its own: with one command only, typer would leave its name out."""


@app.command(name="verify")
@plainly
def verify_command(
    folder: StateOption = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            help="The ends of all chains at the last time: compared, and written anew if nothing is wrong. "
            "Keep a copy where nobody who can change the databases can change it.",
            show_default="audit.json of the state",
        ),
    ] = None,
) -> None:
    """Compute the audit log's chains of hashes again, from the databases. Exit code 1 if anything was tampered with.

    The first wrong event of each chain is named. What was cut off at the end of a chain, or a whole chain that
    was taken away, can only be told by the checkpoint.
    """
    place = state.at(folder)
    kept = checkpoint or place.checkpoint
    before = read(kept)
    with databases.opened(place, os.environ) as urls:
        found = {service: look(service, url, before) for service, url in urls.items()}
    for service, findings in found.items():
        tell(service, findings)
    if any(findings.faults for findings in found.values()):
        raise typer.Exit(1)
    after = Checkpoint(services={service: findings.ends for service, findings in found.items()})
    state.private(kept, after.model_dump_json(indent=1).encode())
    say(f"checkpoint: {kept}")


def read(path: Path) -> Checkpoint:
    """The checkpoint in a file; an empty one where there is none yet."""
    try:
        return Checkpoint.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return Checkpoint()
    except (OSError, ValidationError):
        raise LocalError(f"{path} is no checkpoint of an audit log") from None


def look(service: str, url: str, before: Checkpoint) -> Findings:
    """What is found in the database of a service."""
    try:
        return asyncio.run(verify(url, before.services.get(service, {})))
    except psycopg.errors.UndefinedTable:
        raise LocalError(f"the database of {service} has no audit log yet: start {service} once") from None
    except psycopg.Error as error:
        raise LocalError(f"the database of {service} does not answer: {type(error).__name__}") from None


def tell(service: str, findings: Findings) -> None:
    """What was found, in lines for a person."""
    broken = f", {len(findings.faults)} broken" if findings.faults else ""
    say(f"{service}: {findings.events} events, {len(findings.ends)} whole chains{broken}")
    for fault in findings.faults:
        which = f" ({fault.id})" if fault.id else ""
        say(f"  users/{fault.owner}, event {fault.number}{which}: {fault.what}")
    for owner in findings.erased:
        say(f"  users/{owner}: erased with the account since the checkpoint")
