"""voicemesh demo: the main job, from nothing to a sentence in a person's own voice, and how near it came."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import httpx
import typer

from services.cli.journey import Journey, Refused
from services.cli.models import folder_of_models, prepare
from services.cli.terminal import plainly, say
from services.local import state, topology
from services.local.errors import LocalError
from services.local.mesh import mesh
from services.local.topology import Layout

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "examples" / "sample" / "robin.flac"
TEXT = (
    "Good morning. Until a minute ago, nobody had ever heard me say this sentence, "
    "and yet here it is, spoken in a voice that was learned from a few seconds of sound."
)
CONSENT = "I am the person in this recording, or have their permission, and I agree that this voice is learned."


@plainly
def demo(
    sample: Annotated[
        Path | None, typer.Option(help="A recording of a person, of any kind.", show_default="a sample that is shipped")
    ] = None,
    text: Annotated[str, typer.Option(help="What to say in their voice.")] = TEXT,
    output: Annotated[Path, typer.Option(help="Where to put the audio.")] = Path("demo.wav"),
    address: Annotated[
        str | None,
        typer.Option(help="A mesh that runs already, `http://host:port`.", show_default="starts one for the demo"),
    ] = None,
    port: Annotated[
        int, typer.Option(envvar="VOICEMESH_PORT", min=1, max=65535, help="The port of the mesh while it runs.")
    ] = topology.EDGE_PORT,
    folder: Annotated[Path, typer.Option("--state", help="Where this demo's mesh keeps everything.")] = ROOT
    / "state"
    / "demo",
) -> None:
    """Clone a voice and hear it: starts the whole mesh, learns a voice over REST, and saves what it says."""
    recording = sample or SAMPLE
    if not recording.is_file():
        raise LocalError(f"there is no file {printable(str(recording))}")
    speakable(text)
    prepare(folder_of_models())
    own = sample is not None
    reference = recording.read_bytes()
    if address is None:
        spoken = asyncio.run(alone(printable(recording.name), reference, text, port=port, folder=folder))
    else:
        spoken = asyncio.run(journey(address, printable(recording.name), reference, text))
    output.write_bytes(spoken)
    say(f"saved     {output}: {len(spoken) / 1024:.0f} KiB")
    if not judge(reference, spoken, text) and not own:
        raise LocalError("the clone of the shipped sample is no nearer to it than a stock voice; something is wrong")


def printable(name: str) -> str:
    """A file's name as it can be shown and sent, whatever bytes it has."""
    return "".join(sign if sign.isprintable() else "_" for sign in name)


def speakable(text: str) -> None:
    """Refuses a text that could not be spoken, before anything is started for it."""
    from services.voice.engine import check_text
    from services.voice.engine.errors import TextError

    try:
        check_text(text)
    except TextError as error:
        raise LocalError(str(error)) from None


async def alone(name: str, reference: bytes, text: str, *, port: int, folder: Path) -> bytes:
    """A mesh for the demo only, and the way through it; gives the audio."""
    started = time.monotonic()
    layout = replace(Layout(), port=port, services=dict.fromkeys(topology.OFFSETS, 0))
    async with mesh(state.at(folder), layout, report=lambda line: say(f"mesh      {line}")) as running:
        say(f"mesh      listens at {running.edge} ({time.monotonic() - started:.1f} s)")
        return await journey(running.edge, name, reference, text, own=True)


async def journey(address: str, name: str, reference: bytes, text: str, *, own: bool = False) -> bytes:
    """An ordinary client's way through the mesh at this address; gives the audio."""
    try:
        async with Journey(address, say, own=own) as client:
            await client.sign_in()
            file = await client.upload(name, reference)
            voice = await client.learn(file, name, CONSENT)
            return await client.speak(voice, text)
    except Refused as refused:
        raise LocalError(str(refused)) from None
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise LocalError(f"{address} is no address of a mesh: {error}") from None
    except httpx.TransportError as error:
        raise LocalError(f"{address} does not answer: {error or type(error).__name__}") from None


def judge(reference: bytes, spoken: bytes, text: str) -> bool:
    """Prints how near the clone came, and the best stock voice at the same pitch; whether the clone was nearer."""
    from services.voice.engine import assets
    from services.voice.engine.clone import KokoroEngine
    from services.voice.engine.errors import EngineError
    from services.voice.evaluation import compare

    say("judging   by a speaker encoder that the engine never uses …")
    try:
        engine = KokoroEngine(assets.load(folder_of_models()))
        stock = engine.baseline(engine.enrol([reference]).artefact, text)
        found = compare(reference, spoken, stock)
    except EngineError as error:
        raise LocalError(str(error)) from None
    say(f"          clone to recording                        {found.clone:.3f}")
    say(f"          best stock voice at the same pitch        {found.stock:.3f}")
    say("          (1 the same sound; about 0.96 the same person, 0.42 a stranger of the same sex,")
    say("          where one microphone recorded both; the microphone counts too, so take it with care)")
    if found.nearer:
        say("          the clone is nearer to the person than any stock voice")
    else:
        say("          the clone is NOT nearer to the person than the best stock voice")
    return found.nearer
