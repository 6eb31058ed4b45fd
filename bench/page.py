"""docs/engine-speed.md."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

_INTRODUCTION: Final = """\
Ratios only: seconds say more about the machine than about the engine. *int8* is the unmodified Kokoro-82M int8 model in
the same runtime with the same threads, which says a sentence at once; it and the engine take turns within the same
minute, and the best of each counts. The text is one sentence of about twenty words in two clauses.
"""
_BUSY: Final = "**The machine was busy with other work**: learning and several streams look worse than they are."
_FEWEST: Final = 0.02


def page(result: Mapping[str, Any]) -> str:
    """The page of what `measure.measure` gave."""
    speaking: Mapping[str, Mapping[str, float]] = result["speaking"]
    base = result["int8_rtf_1"]
    lines = [
        "# How fast the engine is",
        "",
        "Written by `make bench`; do not edit.",
        "",
        f"{result['cores']} cores, load {result['load_before']:.1f} before the run, models "
        f"`{result['model_hash'][:16]}`.",
        "",
        *([_BUSY, ""] if result["load_before"] > result["cores"] / 2 else []),
        _INTRODUCTION,
        "## Threads",
        "",
        *_table(
            ["threads", "time against int8", "first audio against int8's whole sentence", "int8 against itself at one"],
            [
                [threads, f"{of['rtf_ratio']:.2f}", f"{of['first_audio_ratio']:.2f}", f"{of['int8_rtf'] / base:.2f}"]
                for threads, of in speaking.items()
            ],
        ),
        "",
        "## Several at a time",
        "",
        "Audio a second of wall time, against one stream on one thread; one session serves all streams.",
        "",
        *_streams(result["streams"]),
        "",
        "## Learning and memory",
        "",
        *_table(
            ["", "against"],
            [
                ["instant learning of 30 s, 2 threads", f"{result['enrolment_of_recording']:.2f} of their length"],
                ["memory of speaking", f"{result['memory_ratio']:.2f} of the int8 model's"],
            ],
        ),
        "",
        "## What limits it",
        "",
        "Share of the time of one sentence on one thread, by onnxruntime's profile (operators above 2 %).",
        "",
        *_table(
            ["half", "operator", "share"],
            [
                [half, name, f"{share:.2f}"]
                for half, of in result["operators"].items()
                for name, share in of.items()
                if share >= _FEWEST
            ],
        ),
    ]
    return "\n".join(lines) + "\n"


def _streams(found: Mapping[str, Mapping[str, float]]) -> list[str]:
    counts = list(next(iter(found.values())))
    rows = [[threads, *(f"{of[count]:.2f}" for count in counts)] for threads, of in found.items()]
    return _table(["threads", *(f"{count} at a time" for count in counts)], rows)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    return [*lines, *("| " + " | ".join(row) + " |" for row in rows)]
