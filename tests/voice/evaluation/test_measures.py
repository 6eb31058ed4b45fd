"""The evaluation's arithmetic, on numbers whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest

from services.voice.evaluation import measures
from services.voice.evaluation.japanese import kana
from services.voice.evaluation.measures import Person


def at(degrees: float) -> np.ndarray:
    return np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], np.float32)


@pytest.fixture
def people() -> dict[str, Person]:
    return {
        "ann": Person(at(0), [at(10), at(-10)], 220.0, [at(1), at(-1)]),
        "bea": Person(at(60), [at(70), at(50)], 200.0, [at(61), at(59)]),
        "carl": Person(at(180), [at(170), at(190)], 100.0, [at(181), at(179)]),
    }


def test_the_person_is_1_and_the_stranger_of_the_same_range_is_0(people: dict[str, Person]) -> None:
    assert measures.normalised(people["ann"].enrolled, "ann", people) == pytest.approx(1)
    assert measures.normalised(people["bea"].enrolled, "ann", people) == pytest.approx(0, abs=1e-6)


def test_likeness_beyond_the_bounds_is_not_clamped(people: dict[str, Person]) -> None:
    assert measures.normalised(people["carl"].enrolled, "ann", people) < -1


def test_normalised_is_the_way_from_floor_to_ceiling(people: dict[str, Person]) -> None:
    ceiling, floor = np.cos(np.radians(10)), (np.cos(np.radians(50)) + np.cos(np.radians(70))) / 2
    half = (np.cos(np.radians(20)) + np.cos(np.radians(40))) / 2

    found = measures.normalised(at(30), "ann", people)

    assert found == pytest.approx((half - floor) / (ceiling - floor), rel=1e-5)


def test_strangers_speak_in_the_same_range_where_there_are_any(people: dict[str, Person]) -> None:
    assert measures.strangers("ann", people) == ["bea"]
    assert measures.strangers("carl", people) == ["ann", "bea"]


def test_nearest_is_by_both_encoders_together(people: dict[str, Person]) -> None:
    assert measures.nearest([at(5), at(5)], [people, people]) == "ann"
    assert measures.nearest([at(25), at(62)], [people, people]) == "bea"


def test_equal_error_of_scores_that_overlap_by_a_quarter() -> None:
    rate, threshold = measures.equal_error([0.9, 0.8, 0.7, 0.3], [0.4, 0.2, 0.1, 0.0])

    assert rate == pytest.approx(0.25)
    assert 0.3 <= threshold <= 0.7


def test_the_threshold_lets_the_person_in_and_keeps_strangers_out(people: dict[str, Person]) -> None:
    rate, threshold = measures.threshold(people)

    assert rate == 0
    assert measures.likeness(at(60), people["ann"]) < threshold <= measures.likeness(at(1), people["ann"])


def test_wilson_is_the_published_interval() -> None:
    low, high = measures.wilson(9, 10)

    assert (low, high) == pytest.approx((0.5958, 0.9821), abs=1e-3)


def test_bootstrap_of_equal_values_has_no_width_and_of_others_holds_the_mean() -> None:
    low, high = measures.bootstrap([[0.0, 0.2], [0.8, 1.0], [0.4, 0.6]], seed=1)

    assert measures.bootstrap([[0.5], [0.5]], seed=1) == (0.5, 0.5)
    assert low < 0.5 < high
    assert (low, high) == measures.bootstrap([[0.0, 0.2], [0.8, 1.0], [0.4, 0.6]], seed=1)


def test_word_errors_count_substitution_insertion_and_deletion() -> None:
    assert measures.word_errors("the cat sat down", "The cat sat down.") == (0, 4)
    assert measures.word_errors("the cat sat down", "the dog sat") == (2, 4)
    assert measures.word_errors("the cat", "well the big cat") == (2, 2)


def test_edits_are_of_whatever_a_sequence_holds() -> None:
    assert measures.edits("アサヒ", "アサ") == 1
    assert measures.edits(["one", "two"], ["two", "two", "three"]) == 2
    assert measures.edits("", "カナ") == 2


def test_kana_are_how_a_text_is_read_whatever_its_spelling() -> None:
    pytest.importorskip("pyopenjtalk", reason="needs voicemesh[japanese]: make japanese")

    assert kana("今日は、早い。") == kana("きょうは早い") == "キョーワハヤイ"
