"""The README's commands, run as they stand, against a mesh as `make up` runs it."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import shutil
import subprocess
import sysconfig
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import av
import pytest

from services.local import postgres, state, topology
from services.local.mesh import Mesh, mesh
from services.local.topology import Layout
from services.voice.engine import assets
from tests.docs import documents

GRPCURL = Path(sysconfig.get_path("scripts")) / "grpcurl"


@pytest.fixture(scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Mesh]:
    """A mesh of its own, ended with this module, so that no two are in memory at once."""
    assets.prepare()
    layout = replace(Layout(), port=0, services=dict.fromkeys(topology.OFFSETS, 0))
    async with mesh(state.at(tmp_path_factory.mktemp("readme")), layout, options=postgres.FAST) as it:
        yield it


def script(running: Mesh) -> str:
    """The README's shell blocks, one after the other, for this mesh."""
    blocks = [
        *documents.code(documents.section(documents.README, "## REST, with curl"), "sh"),
        *documents.code(documents.section(documents.README, "## gRPC, with grpcurl"), "sh"),
    ]
    text = "\n".join(blocks)
    for written, meant in {
        "http://localhost:8080": running.edge,
        "localhost:8080": running.edge.removeprefix("http://"),
        ".venv/bin/grpcurl": str(GRPCURL),
        "me@example.com": f"{secrets.token_hex(8)}@example.com",
    }.items():
        assert written in text
        text = text.replace(written, meant)
    return text


@pytest.mark.skipif(shutil.which("curl") is None, reason="the README's examples need curl")
async def test_the_readmes_commands_work(running: Mesh, tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(documents.ROOT / "examples")
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-euo",
        "pipefail",
        "-c",
        script(running),
        cwd=tmp_path,
        env={**os.environ, "NO_PROXY": "*", "no_proxy": "*"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    async with asyncio.timeout(200):
        out, err = (each.decode() for each in await process.communicate())

    assert process.returncode == 0, out + err
    assert '"code":' not in out, out
    assert out.count('"state":"READY"') >= 2
    assert re.search(r'"audio_seconds":[1-9]', out)
    assert "voicemesh.voice.v1.SpeechService\n" in out
    assert "voicemesh.voice.v1.SpeakRequest is a message" in out
    assert '"contentType": "audio/wav"' in out or '"content_type": "audio/wav"' in out
    assert seconds(tmp_path / "hello.wav") > 1
    assert seconds(tmp_path / "speech.mp3") > 1


def seconds(sound: Path) -> float:
    """How long a sound lasts."""
    with av.open(str(sound)) as container:
        samples = sum(frame.samples for frame in container.decode(audio=0))
        return samples / container.streams.audio[0].rate
