"""Measures Japanese beside English, in the same instant voices.

    python -m services.voice.evaluation.japanese FOLDER --whisper MODEL [--speakers 367,1688]

MODEL is a folder with a multilingual Whisper model (Radford et al. 2022) as faster-whisper reads it; the one that
the rest of the evaluation uses knows English alone. Japanese has no spaces and several spellings of a word, so wrong
kana of the reading are counted (Open JTalk's, of both texts); of English, wrong words. The recogniser's own mistakes
are in both. Likeness is normalised and through other channels, as in docs/engine-evaluation.md.
"""

import argparse
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import numpy as np

from services.voice.engine import KokoroEngine, assets
from services.voice.engine.port import DEFAULT_LANGUAGE, JAPANESE, Samples, whole

from .cache import Cache
from .folder import speakers
from .gathering import listening_code
from .hearing import HEADLINE, Encoders, People, crowd
from .measures import edits, nearest, normalised, words
from .sentences import SENTENCES
from .voices import lowered

JAPANESE_SENTENCES: Final = (
    "今朝は早く起きて、川の近くを散歩しました。",
    "すみません、この荷物を二階まで運んでもらえますか。",
    "妹は小さな町の図書館で働いています。",
    "窓を開けたら、冷たい風が部屋に入ってきた。",
    "会議は三時に始まりますから、遅れないでください。",
    "祖母が作るカレーは、どの店よりもおいしい。",
    "彼は新しいカメラを買うために、毎月お金を貯めている。",
    "電車が止まったので、駅から歩いて帰ることにした。",
    "来週の日曜日に、みんなで海へ行きませんか。",
    "「もう一度説明してください」と先生に頼みました。",
    "昨日見た映画は長かったけれど、とても面白かった。",
    "庭に植えた花が、ようやく咲き始めた。",
)
_NO_KANA: Final = re.compile(r"[^ァ-ヴー]")


@dataclass(frozen=True)
class Language:
    """What is said in a language, and how it is judged."""

    tag: str
    sentences: Sequence[str]
    units: Callable[[str], Sequence[str]]
    """Of a text: what can be right or wrong."""


@dataclass(frozen=True)
class Figures:
    """One voice in one language."""

    errors: float
    """Wrong units to each that was said."""
    fitting: float
    """Normalised likeness by GE2E, which fitting uses."""
    independent: float
    rank_1: float
    """The share of sentences that both encoders together take for the right one of all speakers."""


def kana(text: str) -> str:
    """How a Japanese text is read, in katakana."""
    frontend: Any = import_module("pyopenjtalk").run_frontend
    return _NO_KANA.sub("", "".join(word["pron"] for word in frontend(text)))


LANGUAGES: Final = (Language(DEFAULT_LANGUAGE, SENTENCES, words), Language(JAPANESE, JAPANESE_SENTENCES, kana))


class Listener:
    """A multilingual recogniser, and the people whom voices are compared with."""

    def __init__(self, whisper: Path, people: People, ears: Encoders) -> None:
        self._whisper: Any = import_module("faster_whisper").WhisperModel(
            str(whisper), device="cpu", compute_type="int8", cpu_threads=2
        )
        self._people, self._ears = people, ears

    def judge(self, name: str, language: Language, said: Sequence[Samples]) -> Figures:
        """The sentences of the language, at 16 kHz, as said in the voice of this speaker."""
        wrong = count = right = 0
        for text, samples in zip(language.sentences, said, strict=True):
            expected = language.units(text)
            wrong += edits(expected, language.units(self._text(samples, language.tag)))
            count += len(expected)
            right += nearest(list(self._ears.hear(samples)), self._people) == name
        voice = self._ears.hear(np.concatenate(list(said)))
        fitting, independent = (
            normalised(vector, name, people) for vector, people in zip(voice, self._people, strict=True)
        )
        return Figures(wrong / count, fitting, independent, right / len(said))

    def _text(self, samples: Samples, tag: str) -> str:
        segments, _ = self._whisper.transcribe(
            samples,
            language=tag.split("-")[0],
            beam_size=5,
            condition_on_previous_text=False,
            without_timestamps=True,
        )
        return " ".join(segment.text.strip() for segment in segments)


def say(engine: KokoroEngine, artefact: bytes, language: Language) -> list[Samples]:
    """The sentences of the language, each at 16 kHz."""
    return [
        lowered(whole(engine.speak(artefact, text, language=language.tag)), engine.sample_rate)
        for text in language.sentences
    ]


def main() -> None:
    """Prints the rows of a table for docs/engine.md."""
    parser = argparse.ArgumentParser(prog="services.voice.evaluation.japanese", description="Measure Japanese.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--whisper", type=Path, required=True, help="a folder with a multilingual Whisper model")
    parser.add_argument("--speakers", default="", help="names (default: all of the folder)")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    found = {each.name: each for each in speakers(arguments.folder)}
    models = assets.load()
    engine, ears = KokoroEngine(models), Encoders(models.speaker)
    cache = Cache(Path("build") / "eval")
    crowds = crowd(list(found.values()), ears, seed=arguments.seed, far=0, cache=cache, code=listening_code())
    listener = Listener(arguments.whisper, crowds[HEADLINE], ears)
    for name in arguments.speakers.split(",") if arguments.speakers else found:
        artefact = engine.enrol(found[name].enrolment).artefact
        for language in LANGUAGES:
            figures = listener.judge(name, language, say(engine, artefact, language))
            print(
                f"| {name} | {language.tag} | {figures.errors:.3f} | {figures.fitting:.2f} | {figures.independent:.2f}"
                f" | {figures.rank_1:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
