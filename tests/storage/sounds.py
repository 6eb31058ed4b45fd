"""Audio and video files in every form that is taken in, made with PyAV."""

from __future__ import annotations

import io
from functools import cache

import av
import numpy as np

RATE = 48_000


@cache
def sound(container: str, codec: str, *, seconds: float = 1.0, video: str = "", cover: bool = False) -> bytes:
    """A sine in a file of the given form; with pictures if a video codec is named, or as a cover."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as out:
        pictures = out.add_stream(video, rate=25) if video else out.add_stream("png") if cover else None
        if pictures is not None:
            pictures.width, pictures.height, pictures.pix_fmt = 64, 48, "rgb24" if cover else "yuv420p"
            if cover:
                pictures.disposition = av.stream.Disposition.attached_pic
        track = out.add_stream(codec, rate=RATE, layout="mono")
        if pictures is not None:
            for number in range(1 if cover else int(25 * seconds)):
                frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), number, np.uint8)).reformat(
                    format=pictures.pix_fmt
                )
                frame.pts = number
                out.mux(pictures.encode(frame))
            out.mux(pictures.encode(None))
        wave = (np.sin(np.arange(int(RATE * seconds)) * 0.03) * 8000).astype(np.int16)
        whole = av.AudioFrame.from_ndarray(wave[None, :], format="s16", layout="mono")
        whole.sample_rate, whole.pts = RATE, 0
        queue = av.AudioFifo()
        for frame in av.AudioResampler(format=track.format.name, layout="mono", rate=RATE).resample(whole):
            queue.write(frame)
        while (piece := queue.read(track.codec_context.frame_size or 1024, partial=True)) is not None:
            out.mux(track.encode(piece))
        out.mux(track.encode(None))
    return file.getvalue()


def wav(seconds: float = 1.0) -> bytes:
    """A plain recording."""
    return sound("wav", "pcm_s16le", seconds=seconds)


def silent_film() -> bytes:
    """A video without an audio track."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(25):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), number, np.uint8)).reformat(format="yuv420p")
            frame.pts = number
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return file.getvalue()
