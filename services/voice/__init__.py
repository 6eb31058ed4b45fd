"""Owns voices and speech: what was learned from whom, and what was said.

Called by people (through Envoy) and by user for the sums of usage. The work is done by the worker, a
process of its own over the same database, and for speech at once by an engine process beside the servicer.
"""
