"""What is measured of a process is its own."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from services.voice.evaluation import speed


def test_the_peak_of_a_process_is_not_that_of_its_parent() -> None:
    # Written to, or the system would not count it.
    taken = np.ones(1_000_000_000 // 8)
    mine = speed.peak_memory()
    del taken
    code = "from services.voice.evaluation import speed; print(speed.peak_memory())"

    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert mine > 950
    assert 20 < float(told.stdout) < 800


def test_ratios_are_against_the_unmodified_model() -> None:
    found = speed.compared({"int8": speed.Pace(4.0, 4.0, 8.0), "instant": speed.Pace(3.0, 1.0, 10.0)})

    assert list(found) == ["instant"]
    assert found["instant"] == pytest.approx({"rtf": 0.3, "int8_rtf": 0.5, "rtf_ratio": 0.6, "first_audio_ratio": 0.25})
