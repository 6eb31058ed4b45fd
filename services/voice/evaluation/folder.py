"""The recordings that are measured with: a folder with a folder for each speaker."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from services.voice.engine import audio
from services.voice.engine.port import Samples

from .lossy import RATE

ENROLMENT_FILES: Final = 5
ENROLMENT_SECONDS: Final = 30
"""Of them that the person's own likeness is measured by."""
HELD_SECONDS: Final = 20
EXTENSIONS: Final = {".flac", ".wav", ".mp3", ".m4a", ".ogg", ".opus"}


@dataclass(frozen=True)
class Speaker:
    """One folder of recordings."""

    name: str
    enrolment: tuple[bytes, ...]
    """Whole files: what a voice is learnt from."""
    held: Samples
    """Other speech, at RATE Hz, at most HELD_SECONDS."""
    digest: str
    """Of all of it."""

    def enrolled(self, seconds: float = ENROLMENT_SECONDS) -> Samples:
        """What is learnt from as one recording at RATE Hz, or the beginning of it."""
        decoded = [audio.decode(data, sample_rate=RATE).samples for data in self.enrolment]
        return np.concatenate(decoded)[: int(seconds * RATE)]


def usual() -> Path | None:
    """The folder that was asked for, or else the one beside the checkout; None where neither is."""
    given = os.environ.get("VOICEMESH_EVAL_SPEECH")
    if given:
        return Path(given)
    beside = Path("..") / "shared" / "speech"
    return beside if beside.is_dir() else None


def speakers(folder: Path) -> list[Speaker]:
    """The speakers of a folder: the first five files of each are learnt from, the rest is kept out.

    Raises NotAudio, Truncated, TooLong. Folders with fewer than six files are passed over.
    """
    found = []
    for place in sorted(path for path in folder.iterdir() if path.is_dir()):
        files = sorted(path for path in place.iterdir() if path.suffix.lower() in EXTENSIONS)
        if len(files) <= ENROLMENT_FILES:
            continue
        contents = [file.read_bytes() for file in files]
        held = [audio.decode(data, sample_rate=RATE).samples for data in contents[ENROLMENT_FILES:]]
        joined = np.concatenate(held)[: HELD_SECONDS * RATE]
        digest = hashlib.sha256(b"".join(hashlib.sha256(data).digest() for data in contents)).hexdigest()
        found.append(Speaker(place.name, tuple(contents[:ENROLMENT_FILES]), joined, digest))
    return found
