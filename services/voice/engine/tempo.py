"""Speech faster or slower at the same pitch, for engines whose models speak at one pace."""

from fractions import Fraction

import av
import numpy as np

from .port import Samples


def paced(samples: Samples, rate: int, speed: float) -> Samples:
    """Mono speech at `rate` Hz, `speed` (0.5 to 2) times as fast.

    By FFmpeg's `atempo`, which overlaps and adds waveforms where they are alike (WSOLA; Verhelst and Roelands 1993).
    """
    if speed == 1.0 or not samples.size:
        return samples
    graph = av.filter.Graph()
    source = graph.add_abuffer(format="flt", sample_rate=rate, layout="mono", time_base=Fraction(1, rate))
    tempo, sink = graph.add("atempo", f"{speed}"), graph.add("abuffersink")
    source.link_to(tempo)
    tempo.link_to(sink)
    graph.configure()
    frame = av.AudioFrame.from_ndarray(samples[None], format="flt", layout="mono")
    frame.sample_rate, frame.pts = rate, 0
    source.push(frame)
    source.push(None)
    made = []
    while True:
        try:
            pulled = sink.pull()
            assert isinstance(pulled, av.AudioFrame)
            made.append(pulled.to_ndarray().ravel())
        except (av.error.EOFError, av.error.BlockingIOError):
            break
    return np.concatenate([np.zeros(0, np.float32), *made]).astype(np.float32)
