"""How much the wording of a prompt matters: the mean over languages under each wording, and their spread."""

import statistics

from .protocol import HELD_OUT_WORDING
from .results import Results

WORDING = "wording "


def wording_conditions(results: Results) -> list[str]:
    """The conditions that are wordings, the one held out of training last."""
    return [name for name in results.conditions if name.startswith(WORDING) or name == HELD_OUT_WORDING]


def wordings_table(results: Results) -> str:
    """A row for each wording with its prompt (in English, or the first language) and the mean over languages; then
    mean, standard deviation and range of the rows. Empty where the task was not asked in several wordings."""
    conditions = wording_conditions(results)
    if len(conditions) < 2:
        return ""
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
        f"Mean of the wordings {statistics.mean(means):.1f}, standard deviation {statistics.stdev(means):.1f}, "
        f"lowest {min(means):.1f}, highest {max(means):.1f}.",
    ]
    return "\n".join(lines)
