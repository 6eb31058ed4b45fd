"""Learns the speakers' voices at each level and has them speak; what was done once is kept."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import soxr  # type: ignore[import-untyped]

from services.voice import engine as engine_package
from services.voice.engine import encode
from services.voice.engine.errors import EngineError
from services.voice.engine.port import Chunk, Depth, Engine, Refinement, Samples, whole

from . import variants
from .cache import Cache, Kept, code_digest
from .channels import through_channel
from .folder import Speaker
from .lossy import RATE
from .sentences import PAUSED, SENTENCES

DEPTHS: Final = {"studio": Depth.STANDARD, "studio_high": Depth.HIGH}
LEVELS: Final = ("instant", *DEPTHS)
STOCK: Final = "stock"
FAR: Final = "-far"
"""Ends the name of a level that was learnt from recordings that went through another channel."""


class Cloner(Engine, Protocol):
    """An engine that also speaks in its uncloned voices."""

    def baseline(self, artefact: bytes, text: str, *, most: int) -> tuple[Samples, ...]:
        """The text in the stock voices nearest to the person."""
        ...


@dataclass(frozen=True)
class Reading:
    """One voice, and what it said."""

    speaker: str
    level: str
    artefact: bytes
    sentences: Sequence[Samples]
    """SENTENCES at `rate` Hz."""
    paused: Samples
    """PAUSED at `rate` Hz."""
    rate: int
    seconds: float = 0.0
    """That learning took, by the clock."""
    cpu_seconds: float = 0.0
    failure: str = ""
    """Why the level could not be reached, so that the voice stayed as it was."""
    better: bool = True
    """Whether the engine kept what it had fitted."""
    score_before: float = 0.0
    score_after: float = 0.0
    steps: int = 0

    def low(self) -> list[Samples]:
        """SENTENCES at RATE Hz."""
        return [lowered(samples, self.rate) for samples in self.sentences]


def lowered(samples: Samples, rate: int) -> Samples:
    """Speech at RATE Hz."""
    return np.asarray(soxr.resample(samples, rate, RATE), np.float32)


class Learner:
    """Learns and speaks, one voice at a time; the engine is loaded when something is not kept yet."""

    def __init__(
        self,
        cache: Cache,
        load: Callable[[], Cloner],
        *,
        models: str,
        tell: Callable[[str], None],
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """`models` is the engine's model hash; `options` go to `Engine.refine`."""
        self._cache, self._load, self._tell = cache, load, tell
        self._options = dict(options or {})
        self._engine: Cloner | None = None
        package = Path(str(engine_package.__file__)).parent
        here = Path(__file__)
        code = code_digest(package, here, here.with_name("sentences.py"), here.with_name("channels.py"))
        self._identity = {"models": models, "code": code}

    @property
    def engine(self) -> Cloner:
        """Loaded at the first need."""
        if self._engine is None:
            self._engine = self._load()
        return self._engine

    def read(self, each: Speaker, level: str, *, far: int = 0) -> Reading:
        """The voice at STOCK or one of LEVELS, or one of those and FAR, through the channel of seed `far`.

        Raises EngineError where not even the instant level can be reached.
        """
        base = level.removesuffix(FAR)
        if level == STOCK:
            instant = self.read(each, "instant")
            return self._kept(each, level, {}, lambda: self._stock(instant))
        key: dict[str, Any] = {"far": far} if level.endswith(FAR) else {}
        recordings = each.enrolment
        if level.endswith(FAR):
            recordings = (encode([through_channel(each.enrolled(600), far)], "wav", source_rate=RATE),)
        if base == "instant":
            return self._kept(each, level, key, lambda: self._instant(recordings))
        instant = self.read(each, level.replace(base, "instant"), far=far)
        key["options"] = sorted(self._options.items())
        options = {"depth": DEPTHS[base], **self._options}
        return self._kept(each, level, key, lambda: self._refined(recordings, instant, options))

    def vary(self, each: Speaker, variant: variants.Variant) -> Reading | None:
        """The voice with one thing changed; None where that changes nothing or cannot be asked for."""
        base = self.read(each, variant.of)
        if variant.edit is not None:
            artefact = variants.edited(base.artefact, variant.edit, self.engine)
            if artefact is None or base.failure:
                return None
            return self._kept(each, variant.name, {}, lambda: self._said(artefact))
        method = self.engine.enrol if variant.of == "instant" else self.engine.refine
        if not variants.takes(method, variant.options):
            return None
        key = {"options": sorted((name, str(value)) for name, value in variant.options.items())}
        if variant.of == "instant":
            return self._kept(each, variant.name, key, lambda: self._instant(each.enrolment, variant.options))
        instant = self.read(each, "instant")
        options = {"depth": DEPTHS[variant.of], **self._options, **variant.options}
        return self._kept(each, variant.name, key, lambda: self._refined(each.enrolment, instant, options))

    def _kept(self, each: Speaker, level: str, key: Mapping[str, Any], make: Callable[[], Kept]) -> Reading:
        full = {**self._identity, **key, "speaker": each.digest, "level": level}
        found = self._cache.get("voices", full)
        if found is None:
            started = time.monotonic()
            found = make()
            self._cache.put("voices", full, found)
            learning = f", learnt in {found.values['seconds']:.1f} s" if found.values["seconds"] else ""
            self._tell(f"{each.name}: {level}{learning}, done in {time.monotonic() - started:.0f} s")
            if found.values["failure"]:
                self._tell(f"{each.name}: {level} not reached: {found.values['failure']}")
        return Reading(
            each.name,
            level,
            found.arrays["artefact"].tobytes(),
            [found.arrays[f"s{index}"] for index in range(len(SENTENCES))],
            found.arrays["paused"],
            **found.values,
        )

    def _instant(self, recordings: Sequence[bytes], options: Mapping[str, Any] | None = None) -> Kept:
        clock, cpu = time.monotonic(), time.process_time()
        enrolment = self.engine.enrol(recordings, **dict(options or {}))
        spent = {"seconds": time.monotonic() - clock, "cpu_seconds": time.process_time() - cpu}
        return self._said(enrolment.artefact, spent)

    def _refined(self, recordings: Sequence[bytes], instant: Reading, options: Mapping[str, Any]) -> Kept:
        clock, cpu = time.monotonic(), time.process_time()
        failure = ""
        try:
            refined = self.engine.refine(instant.artefact, recordings, **options)
        except EngineError as error:
            refined = Refinement(instant.artefact, False, 0.0, 0.0, 0)
            failure = f"{error.reason}: {error}"
        told = {
            "seconds": time.monotonic() - clock,
            "cpu_seconds": time.process_time() - cpu,
            "failure": failure,
            "better": refined.better,
            "score_before": refined.score_before,
            "score_after": refined.score_after,
            "steps": refined.steps,
        }
        return self._said(refined.artefact, told)

    def _stock(self, instant: Reading) -> Kept:
        engine = self.engine
        return _packed(
            instant.artefact, lambda text: engine.baseline(instant.artefact, text, most=1)[0], engine.sample_rate, {}
        )

    def _said(self, artefact: bytes, told: Mapping[str, Any] | None = None) -> Kept:
        engine = self.engine

        def say(text: str) -> Samples:
            chunks: list[Chunk] = list(engine.speak(artefact, text))
            return whole(chunks)

        return _packed(artefact, say, engine.sample_rate, told or {})


def _packed(artefact: bytes, say: Callable[[str], Samples], rate: int, told: Mapping[str, Any]) -> Kept:
    arrays = {f"s{index}": say(text) for index, text in enumerate(SENTENCES)}
    blank = {"seconds": 0.0, "cpu_seconds": 0.0, "failure": ""}
    return Kept(
        {**blank, **told, "rate": rate},
        {**arrays, "paused": say(PAUSED), "artefact": np.frombuffer(artefact, np.uint8)},
    )
