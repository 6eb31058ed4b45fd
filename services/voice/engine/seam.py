"""The names at which Kokoro's graph is cut in two (`rewrite`) and joined again at run time (`kokoro`)."""

from typing import Final

FEATURES: Final = "/encoder/MatMul_1_output_0"
"""(1, 512, frames), 40 frames a second."""
PITCH: Final = "/encoder/Reshape_output_0"
"""(1, 2 x frames), F0 in Hz, 80 a second; below about 30 means unvoiced."""
ENERGY: Final = "/encoder/Reshape_1_output_0"
"""(1, 2 x frames)."""
DURATIONS: Final = "/encoder/Gather_output_0"
"""(tokens,), int64, in frames of 25 ms."""
SOURCE: Final = "/decoder/decoder/generator/Concat_3_output_0"
"""(1, 22, 120 x frames + 1), magnitudes and angles of the harmonics that PITCH asks for."""
AFFINES: Final = "affines"
"""(37396,), scales (less 1) and shifts of the decoder's normalisations."""
