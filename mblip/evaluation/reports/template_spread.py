"""Shows how much the prompt template matters: the mean over languages for each template, and the spread."""

import statistics
from collections.abc import Sequence

from ..protocol import HELD_OUT_TEMPLATE
from ..results import Results
from .tables import cell

TEMPLATE = "wording "


def template_conditions(results: Results) -> dict[str, list[str]]:
    """Group the conditions that are prompt templates by the benchmark's own condition (such as a split of POPE).

    The key is "" if the benchmark has no conditions. The template held out of training comes last.
    """
    found: dict[str, list[str]] = {}
    for condition in results.conditions:
        own, _, template = condition.rpartition(", ")
        if template.startswith(TEMPLATE) or template == HELD_OUT_TEMPLATE:
            found.setdefault(own, []).append(condition)
    return found


def templates_table(results: Results) -> str:
    """One table per condition of the benchmark; empty if the task was not asked with several templates.

    A row has the template, its prompt (in English, or the first language) and the mean over languages. Below the table
    are mean, standard deviation and range of the rows.
    """
    groups = [conditions for conditions in template_conditions(results).values() if len(conditions) > 1]
    return "\n\n".join(_table(results, conditions) for conditions in groups)


def _table(results: Results, conditions: Sequence[str]) -> str:
    lines = ["| wording | prompt | mean over languages |", "| --- | --- | ---: |"]
    means = []
    for condition in conditions:
        mean = results.mean(condition)
        assert mean is not None  # every condition has languages
        means.append(100 * mean.value)
        prompts = results.prompts[condition]
        prompt = " ".join(prompts.get("en", next(iter(prompts.values()))).split()).replace("|", "\\|")
        lines.append(f"| {condition} | {prompt} | {cell(mean)} |")
    lines += [
        "",
        f"Mean of the templates {statistics.mean(means):.1f}, standard deviation {statistics.stdev(means):.1f}, "
        f"lowest {min(means):.1f}, highest {max(means):.1f}.",
    ]
    return "\n".join(lines)
