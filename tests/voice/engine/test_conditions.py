"""Every condition that recordings come in is noticed where it is, and only there; what is too bad is refused."""

from collections.abc import Sequence

import numpy as np
import pytest

from services.voice.engine import reference
from services.voice.engine.errors import RecordingError
from services.voice.engine.port import Samples, never, unheard
from services.voice.engine.reference import Reference
from services.voice.engine.report import Expectation
from services.voice.engine.speaker import SpeakerEncoder
from tests.voice.engine.media import behind, hum, in_room, murmur, music, narrowed, noise, recorded, robin, with_pauses

RATE = 24000
QUIET = with_pauses(robin(RATE), RATE)


def listen(encoder: SpeakerEncoder, *recordings: Samples) -> Reference:
    files = [recorded("wav", samples, rate=RATE) for samples in recordings]
    return reference.listen(files, encoder=encoder, maximum_seconds=200, progress=unheard, cancelled=never)


def codes(heard: Reference) -> set[str]:
    return {note.code for note in heard.report.notes}


CONDITIONS: dict[str, tuple[Samples, set[str]]] = {
    "clean": (QUIET, set()),
    "clean and soft": (QUIET * 0.1, set()),
    "faint noise": (behind(QUIET, noise(QUIET.size, -20), 32), set()),
    "noise": (behind(QUIET, noise(QUIET.size, -20), 10), {"NOISY"}),
    "a murmuring crowd": (behind(QUIET, murmur(robin(RATE)), 10), {"NOISY"}),
    "a dry room": (in_room(QUIET, RATE, seconds=0.2, direct_db=6), set()),
    "an echoing room": (in_room(QUIET, RATE, seconds=0.9, direct_db=0), {"REVERBERANT"}),
    "faint music": (behind(QUIET, music(QUIET.size, RATE), 18), {"BACKGROUND_MUSIC"}),
    "hum of 50 Hz": (behind(QUIET, hum(QUIET.size, RATE, 50), 15), {"HUM"}),
    "hum of 60 Hz": (behind(QUIET, hum(QUIET.size, RATE, 60), 15), {"HUM"}),
    "an offset": (QUIET * 0.8 + np.float32(0.05), {"OFFSET"}),
    "a telephone": (narrowed(narrowed(QUIET, RATE, 8000), 8000, RATE), {"NARROWBAND"}),
}


@pytest.mark.parametrize("name", CONDITIONS)
def test_a_condition_is_noted_and_no_other(encoder: SpeakerEncoder, name: str) -> None:
    samples, expected = CONDITIONS[name]

    assert codes(listen(encoder, samples)) == expected


REFUSED: dict[str, tuple[Samples, str]] = {
    "loud noise": (behind(QUIET, noise(QUIET.size, -20), -3), "TOO_NOISY"),
    "loud music": (behind(QUIET, music(QUIET.size, RATE), 2), "MUSIC"),
    "a cathedral": (in_room(QUIET, RATE, seconds=2.5, direct_db=-10), "TOO_REVERBERANT"),
    "hard clipping": (np.clip(QUIET * 8, -1, 1), "CLIPPED_BADLY"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_too_bad_is_refused_with_a_reason(encoder: SpeakerEncoder, name: str) -> None:
    samples, reason = REFUSED[name]

    with pytest.raises(RecordingError) as raised:
        listen(encoder, samples)

    assert raised.value.reason == reason


def test_a_hum_is_taken_out(encoder: SpeakerEncoder) -> None:
    heard = listen(encoder, behind(QUIET, hum(QUIET.size, RATE, 50), 15))

    assert heard.report.snr_db > 25
    assert noise_at(heard.samples, 150) < 4 * noise_at(listen(encoder, QUIET).samples, 150)


def noise_at(samples: Samples, hertz: float) -> float:
    """Power within a hertz of a frequency, as a share of all."""
    powers = np.abs(np.fft.rfft(samples)) ** 2
    frequencies = np.fft.rfftfreq(samples.size, 1 / RATE)
    return float(powers[np.abs(frequencies - hertz) < 1].sum() / powers.sum())


def test_noise_is_lowered_and_the_person_is_nearer_for_it(encoder: SpeakerEncoder) -> None:
    clean = encoder.embed(listen(encoder, QUIET).low)
    noisy = behind(QUIET, noise(QUIET.size, -20), 10)

    heard = listen(encoder, noisy)

    as_it_was = encoder.embed(narrowed(noisy, RATE, 16000))
    assert encoder.embed(heard.low) @ clean > as_it_was @ clean + 0.05
    assert heard.report.expectation is not Expectation.POOR


def test_two_people_in_a_recording_are_refused(encoder: SpeakerEncoder, stranger: Samples) -> None:
    with pytest.raises(RecordingError) as raised:
        listen(encoder, np.concatenate([robin(RATE), stranger]))

    assert raised.value.reason == "TWO_SPEAKERS"


def test_a_strangers_few_words_are_left_out(encoder: SpeakerEncoder, stranger: Samples) -> None:
    mine = listen(encoder, np.concatenate([robin(RATE), robin(RATE)]))

    heard = listen(encoder, np.concatenate([robin(RATE), stranger[: 5 * RATE], robin(RATE)]))

    assert "OTHER_SPEAKER" in codes(heard)
    assert encoder.embed(heard.low) @ encoder.embed(mine.low) > 0.97


def test_one_recording_by_a_stranger_is_left_out(encoder: SpeakerEncoder, unlike_stranger: Samples) -> None:
    heard = listen(encoder, robin(RATE), unlike_stranger, robin(RATE))

    left_out = heard.report.parts[1]
    assert left_out.used_seconds == 0
    assert [note.code for note in left_out.notes] == ["OTHER_SPEAKER"]


def test_as_much_by_a_stranger_is_refused(encoder: SpeakerEncoder, unlike_stranger: Samples) -> None:
    with pytest.raises(RecordingError) as raised:
        listen(encoder, robin(RATE, 6), unlike_stranger)

    assert raised.value.reason == "TWO_SPEAKERS"


def test_a_bad_recording_among_good_ones_is_left_out_and_says_why(encoder: SpeakerEncoder) -> None:
    heard = listen(encoder, behind(QUIET, noise(QUIET.size, -20), -3), robin(RATE))

    bad, good = heard.report.parts
    assert bad.used_seconds == 0
    assert [note.code for note in bad.notes] == ["LEFT_OUT"]
    assert good.used_seconds > 10
    assert heard.report.snr_db > 30


def test_the_best_recordings_are_used_first(encoder: SpeakerEncoder) -> None:
    phone = narrowed(narrowed(QUIET, RATE, 8000), 8000, RATE)
    long = np.concatenate([QUIET, QUIET, QUIET])

    heard = listen(encoder, phone, long)

    assert [part.used_seconds > 0 for part in heard.report.parts] == [False, True]
    assert heard.report.bandwidth_hz > 7000


def test_soft_recordings_are_raised_to_the_level_of_the_others(encoder: SpeakerEncoder) -> None:
    heard = listen(encoder, robin(RATE), robin(RATE) * np.float32(0.1))

    halves = np.array_split(heard.samples, 2)
    levels = [np.sqrt(np.mean(half**2)) for half in halves]
    assert levels[1] == pytest.approx(levels[0], rel=0.1)


def test_every_recording_has_its_part_in_the_report(encoder: SpeakerEncoder) -> None:
    parts: Sequence[object] = listen(encoder, robin(RATE, 6), robin(RATE)).report.parts

    assert [part.recording for part in parts] == [0, 1]  # type: ignore[attr-defined]


def test_a_worse_recording_is_expected_to_give_a_less_similar_voice(encoder: SpeakerEncoder) -> None:
    expected = [
        listen(encoder, samples).report.expected_similarity
        for samples in (
            QUIET,
            behind(QUIET, noise(QUIET.size, -20), 15),
            behind(QUIET, noise(QUIET.size, -20), 8),
            narrowed(narrowed(QUIET, RATE, 8000), 8000, RATE),
        )
    ]

    assert expected == sorted(expected, reverse=True)
    assert expected[0] > 0.9
