"""voicemesh certificates: the development CA, a certificate per process, and those that sign speech, in a folder."""

from pathlib import Path
from typing import Annotated

import typer

from services.cli.terminal import plainly, say
from services.local import certificates as authority
from services.local import provenance


@plainly
def certificates(
    folder: Annotated[Path, typer.Argument(help="Where to put them: <folder>/<process>/{tls.crt,tls.key,ca.crt}.")],
    anew: Annotated[bool, typer.Option("--anew", help="Renew them all, whatever is left of them.")] = False,
) -> None:
    """Make the development CA, a certificate for each process and those that sign speech, or renew them in time."""
    for process, place in authority.ensure(folder, anew=anew).items():
        say(f"{process}: {place}")
    for process, place in provenance.ensure(folder).items():
        say(f"{process}, for signing: {place}")
