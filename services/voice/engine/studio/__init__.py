"""The studio level: the decoder's own numbers fitted to one person, by gradient, on a CPU.

`refine` prepares what was said and how (`transcription`, `alignment`), fits (`fitting`, against `losses` and the
speaker encoder's gradient in `listener`), and keeps the result only if it is nearer to speech that was kept out.
"""
