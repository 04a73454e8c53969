"""Compares uncalibrated and calibrated choices of a model of the drawn world: one, two or three?

    PYTHONPATH=quickstart python benchmarks/three_way.py outputs/quickstart/model
    PYTHONPATH=quickstart python benchmarks/three_way.py MODEL --languages en,zh,tr --num_images 200

We ask in every language, and the answer is English (quickstart/scenes/counts.py). Prints a Markdown table with the
accuracy for each score (sum, mean per token, calibrated), the gain of calibration over the sum with its paired 95 %
interval, and how often each answer was chosen (in brackets: rightly). Accuracy alone hides a class that never wins.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import get_args

import torch
from torch import nn

from mblip.evaluation.evaluate import evaluate_task
from mblip.evaluation.metrics.paired_comparison import compare_paired
from mblip.evaluation.model_inputs import Model, Processor
from mblip.evaluation.predictions import Prediction
from mblip.evaluation.protocol import Setup
from mblip.evaluation.results import Results
from mblip.evaluation.runner import DEFAULT_SETTINGS, RunSettings
from mblip.evaluation.task import EvaluationTask, RankBy
from mblip.loading import Precision, load_checkpoint
from scenes.counts import CANDIDATES, scene_counts
from scenes.languages import SCENE_LANGUAGES

WAYS: tuple[RankBy, ...] = get_args(RankBy)


def main(arguments: Sequence[str]) -> None:
    """The command."""
    given = _parser().parse_args(arguments)
    task = scene_counts(Setup(), languages=given.languages, num_images=given.num_images, seed=given.seed)
    model, processor = load_checkpoint(given.model, Precision.named("auto", None))
    nn.Module.to(model, "cuda" if torch.cuda.is_available() else "cpu")
    results = rank_in_every_way(model, processor, task)
    print(ways_table(results, CANDIDATES))


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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a model folder, a model's name on the Hub, or an adapter")
    parser.add_argument("--languages", type=lambda text: tuple(text.split(",")), default=SCENE_LANGUAGES)
    parser.add_argument("--num_images", type=int, default=100, help="images of each count")
    parser.add_argument("--seed", type=int, default=0, help="which images")
    return parser


if __name__ == "__main__":
    main(sys.argv[1:])
