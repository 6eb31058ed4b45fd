"""voicemesh models: prepares what the engine needs before the first voice."""

from pathlib import Path
from typing import Annotated

import typer

from services.cli.terminal import plainly, say
from services.local.errors import LocalError


@plainly
def models(
    directory: Annotated[
        Path | None, typer.Argument(help="Where to put them.", show_default="where the engine looks")
    ] = None,
) -> None:
    """Prepare the engine's models now, instead of when the first voice is learned."""
    from services.voice.engine import assets
    from services.voice.engine.errors import EngineError

    try:
        assets.prepare(directory, progress=lambda stage, percent: say(f"{percent:3d} % {stage}"))
    except EngineError as error:
        raise LocalError(str(error)) from None
    say("the models are ready")
