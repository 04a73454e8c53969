"""Uncalibrated against calibrated choices of a model of the drawn world: one, two or three?

    python -m training_mblip.three_way outputs/quickstart/model
    python -m training_mblip.three_way MODEL --languages en,zh,tr --num_images 200

The question is asked in every language, the answer is English (evaluation_mblip/tasks/scene_counts.py). Prints a table
in Markdown: accuracy by way of ranking, and how often each answer was chosen, rightly in brackets.
"""

import argparse
from collections.abc import Sequence

import torch
from torch import nn

from data_mblip.command import run_command
from data_mblip.scenes.languages import SCENE_LANGUAGES
from evaluation_mblip.likelihood.ranking_ways import rank_in_every_way, ways_table
from evaluation_mblip.protocol import Setup
from evaluation_mblip.tasks.scene_counts import CANDIDATES, SceneCountsRecipe

from .precision import Precision
from .starting_model import load_checkpoint


def main(arguments: Sequence[str]) -> None:
    """The command."""
    given = _parser().parse_args(arguments)
    task = SceneCountsRecipe(given.languages, given.num_images, given.seed).build(Setup())
    model, processor = load_checkpoint(given.model, Precision.named("auto", None))
    nn.Module.to(model, "cuda" if torch.cuda.is_available() else "cpu")
    results = rank_in_every_way(
        model,  # type: ignore[arg-type]  # its `generate` is typed as transformers has it, with all its outputs
        processor,
        task,
    )
    print(ways_table(results, CANDIDATES))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="training_mblip.three_way", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="a model folder, a model's name on the Hub, or an adapter")
    parser.add_argument("--languages", type=lambda text: tuple(text.split(",")), default=SCENE_LANGUAGES)
    parser.add_argument("--num_images", type=int, default=100, help="pictures of each count")
    parser.add_argument("--seed", type=int, default=0, help="which pictures")
    return parser


if __name__ == "__main__":
    run_command(main)
