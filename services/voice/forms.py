"""Audio forms: in which format, how fast and at which tier speech is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from services.mesh import errors
from services.voice.engine.encoders import FORMATS
from services.voice.engine.port import Language, Level, Tier


@dataclass(frozen=True)
class AudioForm:
    """In which form audio comes."""

    format: str
    """A key of the engine's FORMATS."""
    sample_rate: int
    """In hertz."""
    speed: float
    tier: Tier


def form(format: str, sample_rate: int, speed: float, tier: str, *, field: str) -> AudioForm:
    """The form that is asked for, with the platform's choice where nothing is asked.

    Raises:
        InvalidArgument: the format does not go with the sample rate (SAMPLE_RATE_UNSUPPORTED); `field` is the
            path of the audio config in the request.
    """
    rate = sample_rate or FORMATS[format].codec_rate or 24000
    if rate not in FORMATS[format].sample_rates:
        raise errors.InvalidArgument.of(
            "SAMPLE_RATE_UNSUPPORTED", f"{field}.sample_rate_hertz", f"{format} does not come at {rate} Hz"
        )
    return AudioForm(format, rate, speed or 1.0, Tier(tier))


def check_tier(tier: Tier, language: Language, tiers: Callable[[], frozenset[Tier]]) -> None:
    """Lets a tier pass that the engine offers for a language; `tiers` is asked only where not every engine does.

    Raises:
        FailedPrecondition: it does not offer it (TIER_UNSUPPORTED).
        Unavailable: the engine is starting (ENGINE_NOT_READY).
    """
    if tier is not Tier.NATURAL and tier not in tiers() & language.tiers:
        raise errors.FailedPrecondition(
            "TIER_UNSUPPORTED", f"this engine does not speak {language.tag} at the tier {tier}", tier=tier.value
        )


def level_at(tier: Tier, level: str) -> str:
    """The level that is heard of a voice of this level: what STUDIO fitted is the natural tier's model alone."""
    return level if tier is Tier.NATURAL else Level.INSTANT.value
