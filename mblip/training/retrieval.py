"""Image-text retrieval: how often a model finds the caption of an image, and the image of a caption.

    mblip retrieval eval_xflickrco --num_candidates 100

Give a recipe of `mblip eval` with caption benchmarks. Its prompts and decoding settings are not used. Results,
predictions and report go to `retrieval/` in its `output_dir`. mblip/evaluation/retrieval.py describes what is measured
and what it costs.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from mblip.data.recipes.ranges import count
from mblip.evaluation import conditions_table, predictions_path, write_report, write_results
from mblip.evaluation.predictions import write_predictions
from mblip.evaluation.processes import alone_in
from mblip.evaluation.recipe import EvaluationRun, read_evaluation_run
from mblip.evaluation.retrieval import RetrievalSettings, retrieval_results
from mblip.loading import Precision, base_of_adapter, load_on_device
from mblip.recipes import find_recipe

FOLDER = "retrieval"


def main(arguments: Sequence[str]) -> None:
    """The command."""
    given = _parser().parse_args(arguments)
    run = read_evaluation_run(find_recipe(given.recipe))
    folder = (given.output_dir or run.output_dir) / FOLDER
    with alone_in(folder):
        _search(given, run, folder)


def _search(given: argparse.Namespace, run: EvaluationRun, folder: Path) -> None:
    tasks = run.evaluation.build_tasks()
    name = given.model or run.model
    model, processor = load_on_device(name, Precision.named(run.dtype, run.quantisation(())))
    settings = RetrievalSettings(given.num_candidates, given.batch_size)
    found = [
        retrieval_results(model, processor, task, settings=settings, base=base_of_adapter(name))  # type: ignore[arg-type]
        for task in tasks
    ]
    results = {result.task: result for result in found}
    for result in found:
        write_predictions(predictions_path(folder, result.task), result.predictions)
    table = "\n".join(conditions_table(result) for result in found)
    write_results(folder, results, table)
    write_report(folder, results)
    print(table)
    print(f"Predictions, results and report are in {folder}.")


def _parser() -> argparse.ArgumentParser:
    defaults = RetrievalSettings()
    parser = argparse.ArgumentParser(
        prog="mblip retrieval",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("recipe", help="a recipe with caption benchmarks, by its path or short name")
    parser.add_argument("--model", help="a model instead of the recipe's")
    parser.add_argument("--output_dir", type=Path, help="a folder instead of the recipe's")
    parser.add_argument(
        "--num_candidates", type=count, default=defaults.num_candidates, help="candidate images in each language"
    )
    parser.add_argument("--batch_size", type=count, default=defaults.batch_size, help="captions per batch")
    return parser
