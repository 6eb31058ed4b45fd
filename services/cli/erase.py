"""voicemesh erase: forgets everything that a state holds."""

import contextlib
import shutil
from typing import Annotated

import typer

from services.cli.terminal import StateOption, plainly, say
from services.local import cluster, record, state


@plainly
def erase(
    folder: StateOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete a stopped mesh's state: accounts, voices, files, keys, logs. Nothing brings them back."""
    where = (folder or state.default()).expanduser().resolve()
    if not where.exists():
        say(f"nothing is in {where}")
        return
    if not (where / "postgres").exists() and not (where / "secrets").exists():
        say(f"{where} is no state of VoiceMesh")
        raise typer.Exit(1)
    place = state.at(where)
    if not yes:
        typer.confirm(f"Delete everything in {place.folder}?", abort=True)
    with record.hold(place):
        # The database first: it may lie elsewhere, and only the state knows where.
        cluster.erase(place.postgres)
        for part in place.parts():
            shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(place.postgres, ignore_errors=True)
        place.supervisor.unlink(missing_ok=True)
        place.checkpoint.unlink(missing_ok=True)
    (place.folder / "lock").unlink(missing_ok=True)
    # What else lies there is not ours.
    with contextlib.suppress(OSError):
        place.folder.rmdir()
    say(f"erased {place.folder}")
