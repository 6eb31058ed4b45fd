"""What enrolment hears in recordings, good and bad."""

import json
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from services.voice.engine import reference
from services.voice.engine.errors import Cancelled, NotAudio, RecordingError, Silent, TooLong, TooShort, Truncated
from services.voice.engine.port import Samples, never, unheard
from services.voice.engine.reference import Reference
from services.voice.engine.speaker import SpeakerEncoder
from tests.voice.engine.media import narrowed, noise, recorded, robin

Listen = Callable[..., Reference]


def codes(heard: Reference) -> set[str]:
    return {note.code for note in heard.report.notes}


@pytest.fixture(scope="module")
def listen(encoder: SpeakerEncoder) -> Listen:
    def heard(recordings: Sequence[bytes], maximum_seconds: float = 120) -> Reference:
        return reference.listen(
            recordings, encoder=encoder, maximum_seconds=maximum_seconds, progress=unheard, cancelled=never
        )

    return heard


@pytest.fixture(scope="module")
def clip() -> Samples:
    return robin(48000)


def test_a_clean_recording_gets_no_complaint(listen: Listen, clip: Samples) -> None:
    heard = listen([recorded("flac", narrowed(clip, 48000, 16000), rate=16000)])

    assert codes(heard) == set()
    assert heard.report.speech_seconds == pytest.approx(11.5, abs=0.5)
    assert heard.report.snr_db > 30
    assert heard.report.clipping_ratio == 0
    assert 7000 <= heard.report.bandwidth_hz <= 8000
    assert heard.report.pitch_hz == pytest.approx(165, rel=0.06)
    assert (heard.report.sample_rate, heard.report.channels, heard.report.codecs) == (16000, 1, ("flac",))


def test_the_report_is_json(listen: Listen, clip: Samples) -> None:
    report = listen([recorded("wav", clip, channels=2)]).report.to_dict()

    assert json.loads(json.dumps(report)) == report
    assert report["notes"][0]["code"] == "STEREO_MIXED_DOWN"


def test_telephone_bandwidth_is_noted(listen: Listen, clip: Samples) -> None:
    heard = listen([recorded("wav", narrowed(clip, 48000, 8000), rate=8000)])

    assert "NARROWBAND" in codes(heard)
    assert heard.report.bandwidth_hz <= 4000


def test_telephone_bandwidth_is_noted_in_a_file_of_high_rate(listen: Listen, clip: Samples) -> None:
    heard = listen([recorded("wav", narrowed(narrowed(clip, 48000, 8000), 8000, 48000), rate=48000)])

    assert "NARROWBAND" in codes(heard)


def test_clipping_is_noted(listen: Listen, clip: Samples) -> None:
    heard = listen([recorded("wav", np.clip(clip * 3, -1, 1))])

    assert "CLIPPED" in codes(heard)
    assert heard.report.clipping_ratio > 0.01


def test_noise_is_noted(listen: Listen, clip: Samples) -> None:
    level = 20 * np.log10(np.sqrt(np.mean(clip**2)))
    padded = np.concatenate([np.zeros(48000, np.float32), clip, np.zeros(48000, np.float32)])

    heard = listen([recorded("wav", padded + noise(padded.size, level - 8))])

    assert "NOISY" in codes(heard)
    # A third of the noise lies below 8 kHz, where the speech is.
    assert heard.report.snr_db == pytest.approx(8 + 4.8, abs=2)


def test_little_speech_is_noted(listen: Listen, clip: Samples) -> None:
    assert "SHORT" in codes(listen([recorded("wav", clip[: 48000 * 5])]))


def test_a_very_quiet_recording_is_noted_and_used(listen: Listen, clip: Samples) -> None:
    heard = listen([recorded("flac", clip * 0.01)])

    assert "QUIET" in codes(heard)


def test_the_best_half_minute_of_a_long_recording_is_used(listen: Listen, clip: Samples) -> None:
    level = 20 * np.log10(np.sqrt(np.mean(clip**2)))
    pause = np.zeros(48000, np.float32)
    noisy = np.concatenate([clip, pause, clip]) + noise(clip.size * 2 + pause.size, level - 8)
    clean = np.concatenate([clip, pause, clip, pause, clip])

    heard = listen([recorded("wav", noisy), recorded("wav", clean)])

    assert "LONG_TRIMMED" in codes(heard)
    assert heard.report.used_seconds == pytest.approx(30, abs=0.6)
    assert heard.report.speech_seconds > 50
    quietest = np.percentile(np.abs(heard.samples), 5)
    assert quietest < 0.5 * np.percentile(np.abs(noisy), 5)


def test_several_recordings_are_learnt_from_together(listen: Listen, clip: Samples) -> None:
    halves = [recorded("mp3", clip[: 48000 * 5]), recorded("m4a", clip[48000 * 5 :])]

    heard = listen(halves)

    assert heard.report.recordings == 2
    assert heard.report.codecs == ("mp3float", "aac")
    assert heard.report.recording_seconds == pytest.approx(clip.size / 48000, abs=0.2)


@pytest.mark.parametrize(
    ("samples", "error", "reason"),
    [
        (np.zeros(48000 * 10, np.float32), Silent, "SILENT"),
        (noise(48000 * 10, -85), Silent, "SILENT"),
        (noise(48000 * 10, -30), TooShort, "TOO_SHORT"),
        (robin(48000, 2.0), TooShort, "TOO_SHORT"),
        (np.concatenate([robin(48000, 2.0), np.zeros(48000 * 20, np.float32)]), TooShort, "TOO_SHORT"),
    ],
    ids=["digital silence", "faint noise", "noise without speech", "two seconds", "two seconds in silence"],
)
def test_recordings_without_enough_speech_are_refused(
    listen: Listen, samples: Samples, error: type[RecordingError], reason: str
) -> None:
    with pytest.raises(error) as raised:
        listen([recorded("wav", samples)])

    assert raised.value.reason == reason


def test_recordings_over_the_limit_together_are_refused(listen: Listen, clip: Samples) -> None:
    file = recorded("flac", clip)

    with pytest.raises(TooLong, match="20 s together"):
        listen([file, file], maximum_seconds=20)


def test_an_error_names_the_recording_it_is_about(listen: Listen, clip: Samples) -> None:
    good = recorded("flac", clip)

    with pytest.raises(Truncated, match="recording 2 of 3") as cut:
        listen([good, good[: len(good) // 2], good])
    with pytest.raises(NotAudio, match="recording 1 of 2") as garbage:
        listen([b"<html>", good])

    assert (cut.value.details["recording"], garbage.value.details["recording"]) == ("1", "0")


def test_no_recording_is_an_error(listen: Listen) -> None:
    with pytest.raises(NotAudio):
        listen([])


def test_listening_can_be_cancelled(encoder: SpeakerEncoder, clip: Samples) -> None:
    calls = iter([False, False] + [True] * 1000)

    with pytest.raises(Cancelled):
        reference.listen(
            [recorded("wav", clip)],
            encoder=encoder,
            maximum_seconds=60,
            progress=unheard,
            cancelled=lambda: next(calls),
        )
