"""The evaluation's figures as JSON and as a page for people."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from .hearing import CONDITIONS, ENCODERS
from .method import METHOD

TITLES: Final = {
    "stock": "nearest stock voice",
    "instant": "instant",
    "studio": "studio",
    "studio_high": "studio, high",
    "person": "the same person",
}
_COLUMNS: Final = (
    ("normalised", "normalised", "normalised_interval"),
    ("least", "normalised_min", None),
    ("rank 1", "rank1", "rank1_interval"),
    ("WER", "wer", None),
    ("WER less stock's", "wer_delta", "wer_delta_interval"),
    ("pauses less stock's, dB", "pause_excess_db", None),
    ("most", "pause_excess_db_most", None),
    ("pitch error, semitones", "pitch_error", None),
    ("pitch spread, ratio", "pitch_spread_ratio", None),
    ("pace error", "pace_error", None),
)


def headline(result: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """build/eval.json: what is aimed at, of each level."""
    timed = result.get("speed", {})
    found = {}
    for level, figures in result["levels"].items():
        if level == "stock":
            continue
        of_level = timed.get("levels", {}).get(level, {})
        found[level] = {
            **{name: figures[name] for name in ("normalised", "normalised_min", "rank1", "wer_delta")},
            "rtf_2_threads": of_level.get("rtf_2"),
            "first_audio_ratio": of_level.get("first_audio_ratio_2"),
            "enrol_seconds": seconds(result, level),
        }
    return found


def seconds(result: Mapping[str, Any], level: str) -> float | None:
    """What learning takes: of the instant level in a run of its own; of the others by the clock, or on the processor
    where several speakers were learnt at a time. None where it was not measured."""
    if level == "instant":
        timed: float | None = result.get("speed", {}).get("enrol_seconds")
        return timed
    name = "seconds" if result["jobs"] == 1 else "cpu_seconds"
    taken: float | None = result["levels"][level][name]
    return taken


def page(result: Mapping[str, Any], plot: str) -> str:
    """docs/engine-evaluation.md."""
    levels = result["levels"]
    lines = [
        "# How near the voices come",
        "",
        "Written by `make eval`; do not edit.",
        "",
        f"{len(result['speakers'])} speakers, {result['sentences']} sentences each, channels of seed "
        f"{', '.join(map(str, result['seeds']))}, models `{result['model_hash'][:16]}`.",
        "",
        METHOD,
        f"![Normalised likeness of every speaker]({plot})",
        "",
        *_table(
            [""] + [title for title, _, _ in _COLUMNS],
            [
                [TITLES[name], *(_cell(of, key, interval) for _, key, interval in _COLUMNS)]
                for name, of in levels.items()
            ],
        ),
        *_channels(result),
        *_verification(result),
        *_naturalness(result),
        *_learning(result),
        *_speed(result),
        *_seeds(result),
        *_ablation(result),
        *_people(result),
    ]
    return "\n".join(lines) + "\n"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    return [*lines, *("| " + " | ".join(row) + " |" for row in rows)]


def _channels(result: Mapping[str, Any]) -> list[str]:
    rows = []
    for name, of in [*result["levels"].items(), ("person", result["person"])]:
        cells = [TITLES[name]]
        for condition in CONDITIONS:
            pair = of["conditions"].get(condition)
            cells.append(
                ""
                if pair is None
                else f"{_two(pair['cosine'], 3)}"
                if name == "person"
                else f"{_two(pair['cosine'], 3)}<br>{_two(pair['normalised'], 2)}"
            )
        rows.append(cells)
    return [
        "",
        "## Channels",
        "",
        f"Above the cosine by each encoder ({' / '.join(ENCODERS)}), below it the normalised likeness by each. The "
        "headline is *other microphones, rooms and codecs*.",
        "",
        *_table(["", *CONDITIONS.values()], rows),
    ]


def _two(pair: Sequence[float], digits: int) -> str:
    return " / ".join(f"{value:.{digits}f}" for value in pair)


def _verification(result: Mapping[str, Any]) -> list[str]:
    rows = [[TITLES[name], *(f"{of['accepted'][k]:.2f}" for k in ENCODERS)] for name, of in result["levels"].items()]
    errors = result["person"]["equal_error"]
    rows.append(["real speech of the person", *(f"{1 - errors[k]:.2f}" for k in ENCODERS)])
    rows.append(["real speech of others", *(f"{errors[k]:.2f}" for k in ENCODERS)])
    return [
        "",
        "## Verification",
        "",
        "Share of single sentences taken for the person, at the threshold where each encoder errs equally often on "
        "real speech of that length.",
        "",
        *_table(["", *ENCODERS], rows),
    ]


def _naturalness(result: Mapping[str, Any]) -> list[str]:
    rows = [
        [TITLES[name], *(f"{value:.2f}" for value in of["naturalness"].values()), f"{of['pause_db']:.0f}"]
        for name, of in [*result["levels"].items(), ("person", result["person"])]
    ]
    kinds = list(result["person"]["naturalness"])
    return [
        "",
        "## Cleanness",
        "",
        "Opinions on a scale of 1 to 5 as DNSMOS predicts them, which hears noise and distortion, not intonation; and "
        "the level in pauses, in dB below speech.",
        "",
        *_table(["", *kinds, "pauses, dB"], rows),
    ]


def _learning(result: Mapping[str, Any]) -> list[str]:
    rows = []
    for name, of in result["levels"].items():
        taken = None if name == "stock" else seconds(result, name)
        if name == "stock":
            continue
        size = of["artefact_bytes"] / 1000
        kept = "" if name == "instant" else f"{of['kept']} of {len(of['per_speaker'])}"
        shown = "" if taken is None else f"{taken:.1f}"
        rows.append([TITLES[name], shown, f"{size:.0f}", f"{of['steps']:.0f}" if of["steps"] else "", kept])
    lines = [
        "",
        "## Learning",
        "",
        "Instant: 30 s of speech, two threads, in a process of its own. Studio: all recordings of the speaker, one "
        "thread. *Kept*: the fit was better and replaced the instant voice; elsewhere the instant voice stands in.",
        "",
        *_table(["", "seconds", "artefact, KB", "steps", "kept"], rows),
    ]
    for name, of in result["levels"].items():
        lines += ["", *(f"- {TITLES[name]}, {who}: {why}" for who, why in of["failures"].items())]
    lines += [f"- {who}: {why}" for who, why in result["failures"].items()]
    return lines


def _speed(result: Mapping[str, Any]) -> list[str]:
    if "speed" not in result:
        return []
    timed = result["speed"]
    rows = [
        [TITLES[level], *(f"{of[name]:.2f}" for name in _RATIOS), f"{timed['memory_mb'][level]:.0f}"]
        for level, of in timed["levels"].items()
    ]
    int8 = next(iter(timed["levels"].values()))
    base = {"rtf_1": int8["int8_rtf_1"], "rtf_2": int8["int8_rtf_2"]}
    rows.append(
        [
            "unmodified int8 model",
            *(f"{base[n]:.2f}" if n in base else "" for n in _RATIOS),
            f"{timed['memory_mb']['int8']:.0f}",
        ]
    )
    return [
        "",
        "## Speed",
        "",
        "Against the unmodified int8 model in turns within the same minute, the best of four; *first audio* is against "
        "its time for the whole sentence. Memory is the most of a process that only speaks.",
        "",
        *_table(["", *_RATIOS.values(), "memory, MB"], rows),
    ]


_RATIOS: Final = {
    "rtf_1": "real-time factor, 1 thread",
    "rtf_ratio_1": "against int8",
    "first_audio_ratio_1": "first audio",
    "rtf_2": "2 threads",
    "rtf_ratio_2": "against int8",
    "first_audio_ratio_2": "first audio",
}


def _seeds(result: Mapping[str, Any]) -> list[str]:
    if len(result["seeds"]) < 2:
        return []
    rows = [
        [
            TITLES[name],
            *(
                f"{one['normalised']:.2f}, least {one['normalised_min']:.2f}, rank 1 {one['rank1']:.2f}"
                for one in of["by_seed"].values()
            ),
        ]
        for name, of in result["levels"].items()
    ]
    return ["", "## Seeds of the channels", "", *_table(["", *map(str, result["seeds"])], rows)]


def _ablation(result: Mapping[str, Any]) -> list[str]:
    if not result["ablation"]:
        return []
    rows = []
    for name, of in result["ablation"].items():
        level, title = result["variants"][name]
        people = [who for who in of["per_speaker"] if who in result["levels"][level]["per_speaker"]]
        whole = [result["levels"][level]["per_speaker"][who] for who in people]
        change = sum(of["per_speaker"][who] for who in people) / len(people) - sum(whole) / len(whole)
        rows.append(
            [
                TITLES[level],
                title,
                f"{of['normalised']:.2f}",
                f"{change:+.2f}",
                f"{of['rank1']:.2f}",
                f"{of['wer_delta']:+.2f}",
                f"{of['pause_excess_db']:.1f}",
                str(len(people)),
            ]
        )
    return [
        "",
        "## Ablation",
        "",
        "One thing changed at a time; *change* is against the level itself on the same speakers.",
        "",
        *_table(
            ["level", "changed", "normalised", "change", "rank 1", "WER less stock's", "pauses, dB", "speakers"], rows
        ),
    ]


def _people(result: Mapping[str, Any]) -> list[str]:
    levels = result["levels"]
    rows = [
        [who, *(f"{of['per_speaker'][who]:.2f}" if who in of["per_speaker"] else "" for of in levels.values())]
        for who in result["speakers"]
    ]
    return ["", "## Every speaker", "", *_table(["", *(TITLES[name] for name in levels)], rows)]


def _cell(row: Mapping[str, Any], key: str, interval: str | None) -> str:
    if row.get(key) is None:
        return ""
    shown = f"{row[key]:.2f}"
    if interval and row.get(interval):
        shown += f" ({row[interval][0]:.2f} to {row[interval][1]:.2f})"
    return shown
