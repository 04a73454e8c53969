"""Draws a chart of a benchmark: all languages with intervals, by decreasing resources, and the mean of each level.

It follows Figure 2 of the mBLIP paper, which orders languages by the amount of available text.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any

from mblip.atomic_write import atomic_file

from ..language_groups import LEVELS, resource_level
from ..languages import evaluation_language
from ..results import MeanScore, Results, Score

COLOURS = {"high": "#1f5a92", "middle": "#3f9b8e", "low": "#e0a030", "unseen": "#9a9a9a"}
INCHES_PER_BAR = 0.3
MIN_INCHES, HEIGHT_INCHES = 5.5, 3.6
INCHES_PER_LETTER = 0.09  # of the title


def draw_languages(results: Results, condition: str, path: Path) -> None:
    """Draw the scores of a condition as a PNG, and as an SVG beside it. The same results give the same bytes."""
    from matplotlib import rc_context  # imported here: it takes a second
    from matplotlib.figure import Figure

    scores = results.by_language(condition)
    codes = sorted(scores, key=lambda code: (-evaluation_language(code).mc4_share_percent, code))
    width = max(MIN_INCHES, INCHES_PER_BAR * len(codes) + 2.5)
    figure = Figure(figsize=(width, HEIGHT_INCHES), layout="constrained")
    languages, levels = figure.subplots(1, 2, sharey=True, width_ratios=[max(len(codes), 4), max(4, len(codes) // 4)])
    _draw_bars(languages, codes, [scores[code] for code in codes])
    _draw_levels(levels, results.group_means(condition, LEVELS))
    languages.set_ylabel(f"{results.metric_title} x 100")
    title = f"{results.title}, {results.protocol_title}" + ("" if condition == "as_is" else f", {condition}")
    letters = int(width / INCHES_PER_LETTER)
    figure.suptitle("\n".join([*wrap(title, letters), shortened(results.model.name or "model", letters)]), fontsize=10)
    with rc_context({"svg.hashsalt": "mblip"}):
        for kind, without in (("png", "Software"), ("svg", "Date")):
            with atomic_file(path.with_suffix(f".{kind}")) as partial:
                figure.savefig(partial, format=kind, dpi=130, metadata={without: None})


def shortened(line: str, most: int) -> str:
    """Shorten a line to so many letters. We keep its end, where the names of models differ."""
    return line if len(line) <= most else f"…{line[1 - most :]}"


def _draw_bars(axes: Any, codes: Sequence[str], scores: Sequence[Score]) -> None:
    levels = [resource_level(evaluation_language(code)) for code in codes]
    axes.bar(codes, [100 * score.value for score in scores], color=[COLOURS[level] for level in levels])
    axes.errorbar(range(len(codes)), **_errors(scores))
    axes.tick_params(axis="x", rotation=90 if len(codes) > 12 else 0, labelsize=8)
    axes.set_xlabel("language, by its share of mC4")
    axes.margins(x=0.01, y=0.08)
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)


def _errors(scores: Sequence[Score | MeanScore]) -> dict[str, Any]:
    """The arguments of `errorbar` for the intervals."""
    below = [max(0.0, 100 * (score.value - score.interval.low)) for score in scores]
    above = [max(0.0, 100 * (score.interval.high - score.value)) for score in scores]
    values = [100 * score.value for score in scores]
    return {"y": values, "yerr": [below, above], "fmt": "none", "ecolor": "black", "elinewidth": 0.8}


def _draw_levels(axes: Any, means: Mapping[str, MeanScore]) -> None:
    labels = [f"{name}\n({mean.num_languages})" for name, mean in means.items()]
    axes.bar(labels, [100 * mean.value for mean in means.values()], color=[COLOURS[name] for name in means])
    axes.errorbar(labels, **_errors(list(means.values())))
    for position, mean in enumerate(means.values()):
        axes.text(position, 100 * mean.interval.high, f"{100 * mean.value:.1f}", ha="center", va="bottom", fontsize=8)
    axes.set_xlabel("resource level")
    axes.tick_params(axis="x", labelsize=8)
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)
