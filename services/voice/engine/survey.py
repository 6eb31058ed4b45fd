"""Measures the stock voices and writes `stock.npz`; run again only when the models or the measures change.

    python -m services.voice.engine.survey

About two minutes on two cores. The same on every run of one machine; another CPU may change last digits.
"""

import os
import sys
from pathlib import Path

import numpy as np
import soxr  # type: ignore[import-untyped]

from . import assets, equaliser, kokoro, pitch, sources, speaker, stock
from .level import levelled
from .phonemes import Phonemes

SENTENCES = (
    "The old engine hummed while a young girl watched the white boats cross the harbour.",
    "Please measure those five jars of yellow honey, and bring them back by Thursday.",
)


def main() -> int:
    """Surveys every stock voice into the package's own folder."""
    directory = os.environ.get("VOICEMESH_VOICE_MODELS")
    models = assets.prepare(Path(directory) if directory else None)
    model = kokoro.Kokoro(models, threads=os.cpu_count() or 1)
    encoder = speaker.SpeakerEncoder(models.speaker, threads=1)
    phonemes, packs = Phonemes(models.vocabulary()), models.styles()
    surveyed = []
    for name in sources.STOCK_VOICES:
        spoken = [model.sound(model.score(phonemes.tokens(sentence), packs[name])) for sentence in SENTENCES]
        samples = levelled(np.concatenate(spoken))
        low = np.asarray(soxr.resample(samples, kokoro.RATE, speaker.RATE), np.float32)
        heard = pitch.measure(low)
        if heard is None:
            raise SystemExit(f"{name} has no pitch")
        mel = speaker.mel(low)
        surveyed.append(
            stock.StockVoice(
                name, heard.median, equaliser.envelope(samples), encoder.embed_mel(mel), stock.steps_of(mel)
            )
        )
        print(f"{name}: {heard.hertz:.0f} Hz, {samples.size / kokoro.RATE:.1f} s", flush=True)
    target = Path(__file__).with_name(stock.FILE)
    target.write_bytes(stock.packed(surveyed))
    print(f"{target.name}: {target.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
