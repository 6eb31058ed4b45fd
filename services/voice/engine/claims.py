"""What the checks of `conformance` claim of audio and of refusals."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from .errors import EngineError
from .port import Chunk


def assert_audio(chunks: Sequence[Chunk]) -> None:
    """Raises AssertionError where chunks are no mono audio in [-1, 1]."""
    assert chunks, "there is at least one chunk"
    for chunk in chunks:
        assert chunk.samples.dtype == np.float32
        assert chunk.samples.ndim == 1
        assert np.isfinite(chunk.samples).all()
        assert np.abs(chunk.samples).max(initial=0) <= 1


@contextmanager
def raises(expected: type[EngineError]) -> Iterator[None]:
    """Raises AssertionError where the block does not raise what is expected."""
    try:
        yield
    except expected:
        return
    raise AssertionError(f"{expected.__name__} was expected and nothing was raised")
