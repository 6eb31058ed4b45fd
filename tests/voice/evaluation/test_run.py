"""A whole evaluation, of generated voices, by an engine without models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from services.voice.evaluation import __main__ as command
from services.voice.evaluation import folder, gathering, report, run, samples
from tests.voice.evaluation.people import TonalEngine, TonalParts, folder_of_people

PLAN = run.Plan(levels=("instant", "studio"), seeds=(0, 1), far=("instant",))
KEYS = {
    "normalised",
    "normalised_min",
    "rank1",
    "wer_delta",
    "rtf_2_threads",
    "first_audio_ratio",
    "enrol_seconds",
}


@pytest.fixture(autouse=True)
def _no_opinion(monkeypatch: pytest.MonkeyPatch) -> None:
    # The predictor comes with the evaluation's own environment, which the tests do without.
    monkeypatch.setattr(gathering.naturalness, "opinion", lambda heard: {"overall": 3.0})


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> list[folder.Speaker]:
    return folder.speakers(folder_of_people(tmp_path_factory.mktemp("people")))


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kept")


def measured(people: list[folder.Speaker], parts: TonalParts, where: Path, plan: run.Plan = PLAN) -> dict[str, Any]:
    return {"jobs": 1, **run.evaluate(people, plan, parts, folder=where, tell=lambda line: None)}


def test_the_better_level_is_found_to_be_better(people: list[folder.Speaker], kept: Path) -> None:
    result = measured(people, TonalParts(), kept)

    levels = result["levels"]
    assert list(levels) == ["stock", "instant", "studio"]
    assert levels["studio"]["normalised"] > levels["instant"]["normalised"] + 0.1
    assert levels["studio"]["normalised"] > 0.5
    assert levels["studio"]["rank1"] == 1
    assert levels["studio"]["normalised_min"] == min(levels["studio"]["per_speaker"].values())
    assert set(levels["instant"]["conditions"]) == {"recorded", "plain", "channels", "flat", "both"}
    assert set(levels["instant"]["by_seed"]) == {"0", "1"}


def test_a_run_goes_on_where_it_was(people: list[folder.Speaker], kept: Path) -> None:
    first = measured(people, TonalParts(), kept)
    learnt = TonalEngine.enrolled, TonalEngine.refined
    parts = TonalParts()

    again = measured(people, parts, kept)

    assert json.dumps(again) == json.dumps(first)
    assert (TonalEngine.enrolled, TonalEngine.refined) == learnt
    assert (parts.loaded, parts.ears.heard) == (0, 0)


def test_another_seed_learns_nothing_anew(people: list[folder.Speaker], kept: Path) -> None:
    measured(people, TonalParts(), kept)
    learnt = TonalEngine.refined
    plan = run.Plan(levels=PLAN.levels, seeds=(7,))

    result = measured(people, TonalParts(), kept, plan)

    assert result["seeds"] == [7]
    assert TonalEngine.refined == learnt


def test_the_headline_has_what_is_aimed_at_and_nothing_else(people: list[folder.Speaker], kept: Path) -> None:
    result = measured(people, TonalParts(), kept)
    timed = {"rtf_2": 0.3, "first_audio_ratio_2": 0.2}
    result["speed"] = {"enrol_seconds": 4.0, "levels": {"instant": timed, "studio": timed}}

    found = report.headline(result)

    assert list(found) == ["instant", "studio"]
    assert all(set(of) == KEYS for of in found.values())
    assert found["instant"]["enrol_seconds"] == 4.0
    assert found["studio"]["enrol_seconds"] == result["levels"]["studio"]["seconds"]
    assert found["studio"]["rtf_2_threads"] == 0.3


def test_the_page_shows_every_level_and_speaker(people: list[folder.Speaker], kept: Path) -> None:
    result = measured(people, TonalParts(), kept)

    page = report.page(result, "plot.svg")

    assert all(f"| {name} |" in page for name in ("ann", "bea", "carl", "dan", "instant", "studio"))
    assert "## Seeds of the channels" in page


def test_a_level_that_fails_is_the_instant_voice_and_says_why(people: list[folder.Speaker], tmp_path: Path) -> None:
    result = measured(people[:2], TonalParts(fails="studio"), tmp_path)

    levels = result["levels"]
    assert levels["studio"]["normalised"] == levels["instant"]["normalised"]
    assert levels["studio"]["kept"] == 0
    assert all(why.startswith("TRANSCRIPT_UNCLEAR") for why in levels["studio"]["failures"].values())


def test_speakers_without_any_voice_are_named_and_nothing_is_figured(
    people: list[folder.Speaker], tmp_path: Path
) -> None:
    result = measured(people[:2], TonalParts(fails="instant"), tmp_path)

    assert set(result["failures"]) == {"ann", "bea"}
    assert result["levels"] == {}


def test_samples_are_ten_whoever_there_is(people: list[folder.Speaker], kept: Path, tmp_path: Path) -> None:
    page = samples.write(people, PLAN, TonalParts(), kept=kept, target=tmp_path, tell=lambda line: None)

    names = {path.name for path in tmp_path.iterdir()}
    assert len([name for name in names if name.endswith("-reference.wav")]) == 10
    assert {"01-ann-reference.wav", "01-ann-instant.wav", "10-bea-studio.wav"} <= names
    assert all(name in page.read_text() for name in names - {"index.html"})


def test_without_a_folder_it_says_so_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VOICEMESH_EVAL_SPEECH", str(tmp_path / "nowhere"))

    assert command.main([]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_folder_with_one_speaker_is_not_enough(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--speech", str(folder_of_people(tmp_path, ["ann"]))]) == 2
    assert "no two speakers" in capsys.readouterr().err
