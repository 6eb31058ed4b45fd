"""Loudness: one gain for a whole voice, and a limiter that bends peaks instead of cutting them."""

from typing import Final

import numpy as np

from .port import Samples

TARGET_DB: Final = -23.0
"""RMS of active speech relative to full scale; leaves about 20 dB for peaks."""
_STEADY_DB, _MOST_STEADYING_DB = 1.0, 6.0
_KNEE, _CEILING = 0.8, 0.98
_FRAME: Final = 480
_ENERGY_FRAME: Final = 300
_MEANT_DB, _MEANT_DB_PER_ENERGY = TARGET_DB - 36, 5.0
"""How loud the uncloned model is, half the time, where it means to be at energy 0, and how that grows."""
_SPOKEN: Final = 1.0
"""Energy of what is meant to be heard, and left alone; pauses lie below 0."""
_QUIETER_MOST_DB: Final = 50.0


def active_rms(samples: Samples) -> float:
    """Root mean square over the frames within 30 dB of the loud ones; pauses do not count."""
    count = samples.size // _FRAME
    if count < 2:
        return float(np.sqrt(np.mean(samples**2))) if samples.size else 0.0
    powers = np.mean(samples[: count * _FRAME].reshape(count, _FRAME).astype(np.float64) ** 2, axis=1)
    active = powers[powers >= np.percentile(powers, 95) / 1000]
    return float(np.sqrt(active.mean()))


def gain_to_target(samples: Samples) -> float:
    """The factor that brings speech to TARGET_DB; 1 for silence."""
    level = active_rms(samples)
    return float(10 ** (TARGET_DB / 20) / level) if level > 1e-6 else 1.0


def quietened(samples: Samples, energy: Samples) -> Samples:
    """Speech at TARGET_DB and 24 kHz, nowhere louder than the model meant it to be: fitting and equalising lift the
    noise in pauses.

    `energy` is the model's own, a value for each 300 samples: it knows a pause from a weak consonant, which a level
    alone does not.
    """
    count = min(samples.size // _ENERGY_FRAME, energy.size)
    if count < 3:
        return samples
    frames = samples[: count * _ENERGY_FRAME].reshape(count, -1)
    levels = 10 * np.log10(np.mean(frames.astype(np.float64) ** 2, axis=1) + 1e-12)
    # The most of three: an onset is open before it begins, and an ending until it is over.
    padded = np.pad(energy[:count], 1, mode="edge")
    meant = np.maximum(np.maximum(padded[:-2], padded[1:-1]), padded[2:])
    gains = np.clip(_MEANT_DB + _MEANT_DB_PER_ENERGY * meant - levels, -_QUIETER_MOST_DB, 0)
    gains *= np.clip(_SPOKEN - meant, 0, 1)
    places = (np.arange(count) + 0.5) * _ENERGY_FRAME
    curve = 10 ** (np.interp(np.arange(samples.size), places, gains) / 20)
    return np.asarray(samples * curve, np.float32)


def limited(samples: Samples) -> Samples:
    """Everything within ±0.98; untouched below 0.8."""
    loud = np.abs(samples)
    if not samples.size or loud.max() <= _KNEE:
        return samples
    room = _CEILING - _KNEE
    bent = _KNEE + room * np.tanh((loud - _KNEE) / room)
    return np.where(loud > _KNEE, np.sign(samples) * bent, samples).astype(np.float32)


def steadied(samples: Samples) -> Samples:
    """Speech that is no further than 1 dB from TARGET_DB, moved by 6 dB at most.

    The model says a short exclamation louder than a long sentence, by 3 dB and more.
    """
    level = active_rms(samples)
    if level < 1e-6:
        return samples
    off = TARGET_DB - 20 * np.log10(level)
    gain = np.clip(off - np.clip(off, -_STEADY_DB, _STEADY_DB), -_MOST_STEADYING_DB, _MOST_STEADYING_DB)
    return (samples * np.float32(10 ** (gain / 20))).astype(np.float32)


def levelled(samples: Samples) -> Samples:
    """Speech at TARGET_DB within the limits."""
    return limited((samples * np.float32(gain_to_target(samples))).astype(np.float32))
