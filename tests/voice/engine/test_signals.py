"""The small signal parts: spectra, equaliser, levels, seams, pitch, speech."""

import numpy as np
import pytest

from services.voice.engine import equaliser, level, pitch, seams, speech, stock
from services.voice.engine.errors import Cancelled
from services.voice.engine.pitch import Pitch
from services.voice.engine.port import Samples
from services.voice.engine.spectrum import istft, mel_bank, stft
from tests.voice.engine.media import noise, robin


@pytest.fixture(scope="module")
def low() -> Samples:
    return robin(16000)


@pytest.fixture(scope="module")
def high() -> Samples:
    return robin(24000)


def test_stft_is_inverted_exactly(high: Samples) -> None:
    again = istft(stft(high, size=1024, hop=256), hop=256, length=high.size)

    np.testing.assert_allclose(again, high, atol=1e-5)


def test_mel_bank_is_the_known_one() -> None:
    # Values of librosa.filters.mel(sr=16000, n_fft=400, n_mels=40).
    bank = mel_bank(rate=16000, size=400, bands=40, low=0.0, high=8000.0)

    assert bank.shape == (40, 201)
    assert bank[0, 2] == pytest.approx(0.0124045, abs=1e-7)
    assert bank[10, 20] == pytest.approx(0.0118795, abs=1e-7)
    assert bank[39, 190] == pytest.approx(0.0012152, abs=1e-7)


def test_equaliser_moves_one_envelope_to_another(high: Samples) -> None:
    spectrum = np.fft.rfft(high)
    tilt = np.interp(np.fft.rfftfreq(high.size, 1 / 24000), [0, 1000, 4000, 12000], [1, 2, 0.5, 0.4])
    other = np.fft.irfft(spectrum * tilt, high.size).astype(np.float32)
    source, target = equaliser.envelope(high), equaliser.envelope(other)

    shaped = equaliser.apply(high, equaliser.difference(source, target, bandwidth_hz=7500))

    heard = slice(2, int((equaliser.CENTRES < 6000).sum()))
    before = np.abs(source - target)[heard].mean()
    after = np.abs(equaliser.envelope(shaped) - target)[heard].mean()
    assert after < 0.2 * before


def test_equaliser_makes_up_nothing_above_the_known_band() -> None:
    source, target = np.zeros(64, np.float32), np.linspace(0, 3, 64, dtype=np.float32)

    gain = equaliser.difference(source, target, bandwidth_hz=3400)

    assert np.ptp(gain[equaliser.CENTRES > 5000]) < 0.2
    assert np.abs(equaliser.difference(source, target + 100, bandwidth_hz=12000)).max() <= 4


def test_limiter_keeps_soft_sound_and_bends_peaks() -> None:
    ramp = np.linspace(-3, 3, 1001, dtype=np.float32)

    bent = level.limited(ramp)

    assert np.abs(bent).max() <= 0.98
    assert np.all(np.diff(bent) >= 0)
    soft = np.abs(ramp) <= 0.8
    np.testing.assert_array_equal(bent[soft], ramp[soft])


def test_pauses_are_made_quieter_and_speech_is_left_alone(high: Samples) -> None:
    spoken = level.levelled(high[: high.size // 300 * 300])
    hum = (10 ** (-45 / 20) * np.sqrt(2) * np.sin(np.arange(24000) * 0.05)).astype(np.float32)
    heard, meant = spoken.size // 300, np.full(80, -4, np.float32)

    made = level.quietened(np.concatenate([spoken, hum]), np.concatenate([np.full(heard, 6, np.float32), meant]))

    np.testing.assert_array_equal(made[: spoken.size], spoken)
    assert 20 * np.log10(np.std(made[-20000:])) == pytest.approx(level.TARGET_DB - 36 - 4 * 5, abs=0.5)


def test_a_pause_that_is_quiet_by_itself_and_a_weak_consonant_are_left_alone() -> None:
    hiss = np.random.default_rng(0).normal(0, 1, 24000).astype(np.float32)
    pause, consonant = np.full(80, -4, np.float32), np.full(80, 1, np.float32)

    np.testing.assert_array_equal(level.quietened(hiss * np.float32(1e-5), pause), hiss * np.float32(1e-5))
    np.testing.assert_array_equal(level.quietened(hiss * np.float32(1e-2), consonant), hiss * np.float32(1e-2))


def test_level_does_not_count_pauses(high: Samples) -> None:
    with_pause = np.concatenate([high, np.zeros(24000 * 10, np.float32)])

    assert level.active_rms(with_pause) == pytest.approx(level.active_rms(high), rel=0.05)
    assert level.active_rms(level.levelled(high)) == pytest.approx(10 ** (level.TARGET_DB / 20), rel=0.05)


def test_seams_cut_silence_and_leave_no_step() -> None:
    tone = np.sin(np.arange(24000) * 2 * np.pi * 200 / 24000).astype(np.float32)
    padded = np.concatenate([np.zeros(24000, np.float32), tone, np.zeros(24000, np.float32)])

    cut = seams.trimmed(padded, 24000)

    assert 24000 <= cut.size <= 24000 * 1.2
    assert cut[0] == cut[-1] == 0
    assert seams.trimmed(np.zeros(4800, np.float32), 24000).size == 0


@pytest.mark.parametrize("hertz", [80, 120, 210, 330])
def test_pitch_of_a_known_tone_is_found(hertz: int) -> None:
    time = np.arange(32000) / 16000
    tone = sum(np.sin(2 * np.pi * hertz * k * time) / k for k in range(1, 8))

    found = pitch.measure((0.1 * tone).astype(np.float32))

    assert found is not None
    assert found.hertz == pytest.approx(hertz, rel=0.02)
    assert found.spread < 0.2


def test_noise_has_no_pitch() -> None:
    assert pitch.measure(noise(32000, -20)) is None


def test_speech_is_found_between_pauses(low: Samples) -> None:
    pause = noise(32000, -75)
    found = speech.segments(np.concatenate([pause, low[:48000], pause, low[48000:96000], pause]))

    spans = [(segment.start, segment.end) for segment in found]
    assert spans[0][0] == pytest.approx(2.0, abs=0.35)
    assert spans[-1][1] == pytest.approx(10.0, abs=0.5)
    assert sum(segment.seconds for segment in found) == pytest.approx(6.0, abs=0.8)
    assert speech.segments(noise(64000, -30)) == []


def test_finding_speech_can_be_cancelled(low: Samples) -> None:
    with pytest.raises(Cancelled):
        speech.segments(low, cancelled=lambda: True)


@pytest.mark.parametrize("decibels", [10, 20, 30])
def test_noise_is_measured(low: Samples, decibels: int) -> None:
    power = 20 * np.log10(np.sqrt(np.mean(low**2)))
    noisy = np.concatenate([np.zeros(16000, np.float32), low]) + noise(low.size + 16000, power - decibels)
    spoken = [speech.Segment(1.2, 12.5)]

    assert speech.snr(noisy, spoken) == pytest.approx(decibels, abs=2)


def test_stock_voices_are_surveyed() -> None:
    voices = {voice.name: voice for voice in stock.voices()}

    assert len(voices) == 28
    women = np.median([voice.pitch for name, voice in voices.items() if name[1] == "f"])
    men = np.median([voice.pitch for name, voice in voices.items() if name[1] == "m"])
    assert women - men > 5
    assert all(np.linalg.norm(voice.embedding) == pytest.approx(1, abs=1e-3) for voice in voices.values())
    flat = voices["af_heart"].equalised_mel(np.zeros(64, np.float32))
    np.testing.assert_allclose(flat, stock.powers_of(voices["af_heart"].mel), rtol=1e-4)


def test_a_spread_is_in_semitones() -> None:
    octave = np.geomspace(100, 200, 1001)

    assert pitch.summary(octave) == Pitch(
        median=pytest.approx(12 * np.log2(141.42), abs=0.01), spread=pytest.approx(4.08, abs=0.01)
    )
