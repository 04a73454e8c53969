"""How much the template of a prompt matters: the mean over languages under each template, and their spread."""

import statistics
from collections.abc import Sequence

from ..protocol import HELD_OUT_TEMPLATE
from ..results import Results

TEMPLATE = "wording "


def template_conditions(results: Results) -> dict[str, list[str]]:
    """The conditions that are templates, the one held out of training last, by the benchmark's own condition that they
    are templates of (a split of POPE); "" where it has none."""
    found: dict[str, list[str]] = {}
    for condition in results.conditions:
        own, _, template = condition.rpartition(", ")
        if template.startswith(TEMPLATE) or template == HELD_OUT_TEMPLATE:
            found.setdefault(own, []).append(condition)
    return found


def templates_table(results: Results) -> str:
    """A row for each template with its prompt (in English, or the first language) and the mean over languages; then
    mean, standard deviation and range of the rows. A table for each of the benchmark's own conditions; empty where the
    task was not asked in several templates."""
    groups = [conditions for conditions in template_conditions(results).values() if len(conditions) > 1]
    return "\n\n".join(_table(results, conditions) for conditions in groups)


def _table(results: Results, conditions: Sequence[str]) -> str:
    lines = ["| wording | prompt | mean over languages |", "| --- | --- | ---: |"]
    means = []
    for condition in conditions:
        scores = results.by_language(condition)
        means.append(100 * statistics.mean(score.value for score in scores.values()))
        prompts = results.prompts[condition]
        prompt = " ".join(prompts.get("en", next(iter(prompts.values()))).split()).replace("|", "\\|")
        lines.append(f"| {condition} | {prompt} | {means[-1]:.1f} |")
    lines += [
        "",
        f"Mean of the templates {statistics.mean(means):.1f}, standard deviation {statistics.stdev(means):.1f}, "
        f"lowest {min(means):.1f}, highest {max(means):.1f}.",
    ]
    return "\n".join(lines)
