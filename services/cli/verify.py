"""voicemesh verify: was this audio made here, and is it as it was?"""

from pathlib import Path
from typing import Annotated, Any, BinaryIO

import httpx
import typer

from services.cli.terminal import plainly, say
from services.local import state
from services.local.errors import LocalError
from services.voice import inspection, manifests, receipts, verification
from services.voice.receipts import NotOurs, Receipt
from services.voice.signing import Anchors
from services.voice.verification import Evidence, Sample, Verdict, Verification

SECONDS = 30.0
EXITS = {Verdict.MADE_HERE: 0, Verdict.ALTERED: 3, Verdict.UNKNOWN: 4}
SAID = {
    Verdict.MADE_HERE: "made here: synthetic speech, as it was made",
    Verdict.ALTERED: "altered: it has what was made here, and is not as it was made",
    Verdict.UNKNOWN: "unknown: it has nothing of ours, which proves nothing",
}
_PIECE = 1 << 20


@plainly
def verify(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The audio.")],
    address: Annotated[
        str | None,
        typer.Option(help="Ask this mesh, such as http://127.0.0.1:8080, for its authority and its receipts."),
    ] = None,
    authority: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="The certificates to believe.", show_default="those of the mesh"
        ),
    ] = None,
    receipt: Annotated[str | None, typer.Option(help="The receipt that came with it, or a file that holds it.")] = None,
) -> None:
    """Tell whether audio was made here (exit status 0), was and has been altered (3), or is not known (4).

    The file stays here: a mesh is told its digests. Without --address nobody is asked, and the certificates are those
    of the mesh on this machine unless told otherwise.
    """
    anchors = believed(address, authority)
    given = brought(receipt, anchors) if receipt else None
    with file.open("rb") as content:
        found = judged(content, anchors, given, address)
    say(SAID[found.verdict])
    if found.evidence is not Evidence.NONE:
        say(f"by          {found.evidence.lower()}")
    say(f"sha256      {found.sha256}")
    if found.origin is not None and found.made_at is not None:
        say(f"voice       {found.origin.voice}")
        say(f"consent     {found.origin.consent}")
        say(f"engine      {found.origin.engine}, models {found.origin.model_hash}")
        say(f"made        {found.made_at:%Y-%m-%d %H:%M:%S} UTC")
    raise typer.Exit(EXITS[found.verdict])


def judged(content: BinaryIO, anchors: Anchors, given: tuple[Receipt, str] | None, mesh: str | None) -> Verification:
    """The verdict on a file, by its manifest, by a receipt that came with it, and by one that a mesh has kept."""
    sample = Sample()
    while piece := content.read(_PIECE):
        sample.add(piece)
    sound = manifests.sound(content)
    signed = given
    if mesh is not None and (given is None or given[0].sha256 != sample.sha256):
        signed = kept(mesh, sample.sha256, sound, anchors) or given
    return verification.judge(sample.sha256, sound, inspection.inspect(content, anchors), signed)


def believed(mesh: str | None, authority: Path | None) -> Anchors:
    """The certificates to believe: those given, else those of the mesh that is asked, else those of this machine's."""
    if authority is not None:
        pem = authority.read_bytes()
    elif mesh is not None:
        pem = answer(mesh, "/v1/provenance:authority")["certificates"].encode()
    else:
        place = state.default().expanduser() / "certificates" / "provenance" / "ca.crt"
        if not place.exists():
            raise LocalError("there is no mesh on this machine: say whom to believe with --authority, or --address")
        pem = place.read_bytes()
    try:
        return Anchors.of(pem)
    except ValueError as error:
        raise LocalError(f"these are no certificates of an authority: {error}") from None


def brought(receipt: str, anchors: Anchors) -> tuple[Receipt, str]:
    """The receipt that came with a file."""
    path = Path(receipt)
    # A receipt is longer than a name may be.
    token = path.read_text("ascii", "replace").strip() if len(receipt) < 256 and path.is_file() else receipt
    try:
        return receipts.read(token, anchors), token
    except NotOurs as error:
        raise LocalError(f"this receipt is not to be believed: {error}") from None


def kept(mesh: str, sha256: str, sound: str | None, anchors: Anchors) -> tuple[Receipt, str] | None:
    """The receipt that a mesh has kept for such a file, if it is to be believed."""
    token = answer(mesh, "/v1/audio:verifyDigest", sha256=sha256, **({"sound_sha256": sound} if sound else {}))[
        "receipt"
    ]
    try:
        return (receipts.read(token, anchors), token) if token else None
    except NotOurs:
        return None


def answer(mesh: str, path: str, **parameters: str) -> dict[str, Any]:
    """What a mesh answers."""
    try:
        response = httpx.get(f"{mesh.rstrip('/')}{path}", params=parameters, timeout=SECONDS)
        response.raise_for_status()
        said: dict[str, Any] = response.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise LocalError(f"{mesh} does not answer as a mesh: {error or type(error).__name__}") from None
    return said
