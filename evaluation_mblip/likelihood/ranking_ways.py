"""The ways to rank side by side: by sum, by mean per token, and calibrated, with what each class wins.

Accuracy alone hides a class that never wins (the neutral one of XVNLI), so every way is shown with how often it chose
each candidate, and how often rightly. The gain of calibration over the sum has its paired 95 % interval.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import get_args

from ..evaluate import evaluate_task
from ..metrics.paired_comparison import compare_paired
from ..model_inputs import Model, Processor
from ..predictions import Prediction
from ..results import Results
from ..runner import DEFAULT_SETTINGS, RunSettings
from ..task import EvaluationTask, RankBy

WAYS: tuple[RankBy, ...] = get_args(RankBy)


def rank_in_every_way(
    model: Model, processor: Processor, task: EvaluationTask, *, settings: RunSettings = DEFAULT_SETTINGS
) -> dict[RankBy, Results]:
    """The results of a task whose examples have candidates, and content-free prompts, by way of ranking."""
    return {
        way: evaluate_task(model, processor, replace(task, answering="rank", rank_by=way), settings=settings)
        for way in WAYS
    }


def ways_table(results: Mapping[RankBy, Results], candidates: Sequence[str]) -> str:
    """A Markdown table: a row for each condition and language, and one of all.

    Args:
        candidates: the classes, the same for all examples, each with one reference.
    """
    head = ["language", *WAYS, "calibrated - sum"]
    head += [f"{name} by {way}" for way in ("sum", "calibrated") for name in candidates]
    lines = [f"| {' | '.join(head)} |", "|---" + "|---:" * (len(head) - 1) + "|"]
    for condition in results["sum"].conditions:
        for language in results["sum"].by_language(condition):
            found = {way: result.answers(condition, language) for way, result in results.items()}
            is_only = len(results["sum"].conditions) == 1
            lines.append(_row(language if is_only else f"{language}, {condition}", found, candidates))
    everything = {way: list(result.predictions) for way, result in results.items()}
    return "\n".join([*lines, _row("all", everything, candidates)])


def _row(name: str, found: Mapping[RankBy, Sequence[Prediction]], candidates: Sequence[str]) -> str:
    shares = {way: [prediction.score or 0.0 for prediction in answers] for way, answers in found.items()}
    images = [prediction.image_id for prediction in found["sum"]]
    gain = compare_paired(shares["calibrated"], shares["sum"], images).difference
    interval = f"[{100 * gain.interval.low:+.1f}, {100 * gain.interval.high:+.1f}]"
    cells = [name, *(f"{100 * sum(shares[way]) / len(images):.1f}" for way in WAYS)]
    cells.append(f"{100 * gain.value:+.1f} {interval}")
    for way in ("sum", "calibrated"):
        chosen = Counter(prediction.output for prediction in found[way])
        right = Counter(prediction.output for prediction in found[way] if prediction.score)
        cells += [f"{chosen[candidate]} ({right[candidate]})" for candidate in candidates]
    return f"| {' | '.join(cells)} |"
