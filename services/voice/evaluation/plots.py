"""The evaluation's figures as pictures."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .report import TITLES


def likeness(result: Mapping[str, Any], path: Path) -> None:
    """Normalised likeness of every speaker at every level, and of each level with its interval, as SVG."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "voicemesh"
    from matplotlib import pyplot

    levels, people = result["levels"], result["speakers"]
    figure, (bars, means) = pyplot.subplots(1, 2, figsize=(11, 3.6), width_ratios=(3, 1), sharey=True)
    width = 0.8 / len(levels)
    for index, (name, of) in enumerate(levels.items()):
        values = [of["per_speaker"].get(person, 0.0) for person in people]
        bars.bar([place + index * width for place in range(len(people))], values, width, label=TITLES[name])
        low, high = of["normalised_interval"]
        mean = of["normalised"]
        means.errorbar([index], [mean], [[max(0.0, mean - low)], [max(0.0, high - mean)]], fmt="o", capsize=4)
    bars.set_xticks([place + 0.4 - width / 2 for place in range(len(people))], people)
    bars.set_ylabel("normalised likeness")
    bars.legend(fontsize=8, ncols=len(levels))
    means.set_xticks(range(len(levels)), [TITLES[name] for name in levels], rotation=20, fontsize=8)
    means.set_xlim(-0.5, len(levels) - 0.5)
    for axes in (bars, means):
        axes.axhline(0, color="black", linewidth=0.6)
        axes.axhline(1, color="grey", linewidth=0.6, linestyle="--")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
