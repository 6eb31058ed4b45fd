"""The benchmark's settings and its page."""

from __future__ import annotations

from typing import Any

import pytest

from bench import measure, page


@pytest.mark.parametrize(
    ("cores", "counts"), [(1, [1]), (2, [1, 2]), (6, [1, 2, 4, 6]), (16, [1, 2, 4, 8, 16]), (64, [1, 2, 4, 8, 16])]
)
def test_threads_go_up_to_the_cores_that_there_are(cores: int, counts: list[int]) -> None:
    assert measure.thread_counts(cores) == counts


def result(load: float) -> dict[str, Any]:
    of = {"rtf_ratio": 0.72, "first_audio_ratio": 0.26, "int8_rtf": 0.5, "rtf": 0.36}
    return {
        "cores": 2,
        "load_before": load,
        "model_hash": "0" * 64,
        "speaking": {"1": of},
        "int8_rtf_1": 0.5,
        "streams": {"1": {"1": 1.0}},
        "enrolment_of_recording": 0.2,
        "memory_ratio": 1.4,
        "operators": {"decoder": {"Conv": 0.7, "Cast": 0.001}},
    }


def test_the_page_has_ratios_and_what_limits_it() -> None:
    shown = page.page(result(0.1))

    assert "| 1 | 0.72 | 0.26 | 1.00 |" in shown
    assert "| decoder | Conv | 0.70 |" in shown
    assert "Cast" not in shown


def test_a_busy_machine_is_told() -> None:
    assert "busy" in page.page(result(12.0))
    assert "busy" not in page.page(result(0.1))
