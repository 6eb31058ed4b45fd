"""Limits of a process that reads what strangers have made: it sets them for itself, and ends when it exceeds them."""

from __future__ import annotations

import resource
from contextlib import suppress


def confine(*, cpu_seconds: int, memory_bytes: int) -> None:
    """Bounds this process from now on: its CPU time and its address space; it writes no file, and no core.

    A limit that the system does not know, or that is lower already, stays as it is (setrlimit(2)).
    """
    for limit, most in (
        (resource.RLIMIT_CPU, cpu_seconds),
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
    ):
        with suppress(ValueError, OSError):
            resource.setrlimit(limit, (most, resource.getrlimit(limit)[1]))
