"""voicemesh certificates: the development CA and a certificate per process, in a folder."""

from pathlib import Path
from typing import Annotated

import typer

from services.cli.terminal import plainly, say
from services.local import certificates as authority


@plainly
def certificates(
    folder: Annotated[Path, typer.Argument(help="Where to put them: <folder>/<process>/{tls.crt,tls.key,ca.crt}.")],
) -> None:
    """Make the development CA and a certificate for each process, or renew them where it is time."""
    for process, place in authority.ensure(folder).items():
        say(f"{process}: {place}")
