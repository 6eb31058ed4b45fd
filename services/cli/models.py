"""voicemesh models: prepares what the engine needs before the first voice."""

import os
import time
from pathlib import Path
from typing import Annotated

import typer

from services.cli.terminal import plainly, say
from services.local.errors import LocalError

VARIABLE = "VOICEMESH_VOICE_MODELS"


@plainly
def models(
    directory: Annotated[
        Path | None, typer.Argument(envvar=VARIABLE, help="Where to put them.", show_default="the user's cache")
    ] = None,
) -> None:
    """Prepare the engine's models now, instead of when the first voice is learned."""
    prepare(directory)


def prepare(directory: Path | None) -> Path:
    """Prepares the models if that was not done before; gives their folder."""
    # Here and not above: not every command needs the engine.
    from services.voice.engine import assets
    from services.voice.engine.errors import EngineError

    started = time.monotonic()
    try:
        found = assets.prepare(directory, progress=lambda stage, percent: say(f"models    {percent:3d} % {stage}"))
    except (EngineError, OSError) as error:
        raise LocalError(str(error)) from None
    say(f"models    prepared ({time.monotonic() - started:.1f} s)")
    return found.directory.parent


def folder_of_models() -> Path | None:
    """The folder that the person has chosen for the models."""
    return Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None
