"""Evaluate a model: its answers, results with 95 % intervals, and a table.

    mblip eval MODEL --task xm3600 --task.images DIR ...              one task, with its arguments
    mblip eval MODEL --task my_module:my_benchmark ...                your own task, a function in my_module.py
    mblip eval RECIPE [--model MODEL --output_dir DIR]                all tasks of a recipe
    mblip eval RECIPE --languages en,sw --num_images 20               a trial, marked as one, in OUTPUT_DIR_trial
    mblip eval RECIPE --evaluation.xgqa.answering rank                with another value of a field of the recipe
    mblip eval RECIPE --features FOLDER                       without the image encoder, see `mblip encode`
    mblip eval RECIPE --load_in none                                  not in 8 bit, as the paper's protocol (or 4bit)
    mblip eval --task xm3600 --help                                   the arguments of a task
    torchrun --nproc_per_node 4 -m mblip eval RECIPE                  on four processes, with the same answers

MODEL is a folder or a name on the Hub, in mBLIP's or BLIP-2's layout, or an adapter, which we load on its base. RECIPE
is a YAML file, or the short name of one that comes with the package (`mblip recipes`).
"""

import logging
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn
from transformers.utils import is_bitsandbytes_available

from mblip.atomic_write import write_text
from mblip.data.recipes.strict_loading import to_plain
from mblip.data.recipes.yaml_values import write_yaml
from mblip.evaluation import Results, conditions_table, evaluate_task, predictions_path, write_report, write_results
from mblip.evaluation.command_line import parse_command_line
from mblip.evaluation.environment import describe_precision
from mblip.evaluation.processes import alone_in, is_main_process, process_group
from mblip.evaluation.progress import run_cost
from mblip.evaluation.recipe import EvaluationRun
from mblip.evaluation.reports.files import RESULTS_FILE
from mblip.evaluation.run_identity import digest_weights
from mblip.evaluation.runner import forget_partial
from mblip.loading import Precision, base_of_adapter, load_checkpoint
from mblip.training.encoding import open_evaluation_features, shows_grey_image

logger = logging.getLogger(__name__)


def main(arguments: list[str]) -> None:
    run = parse_command_line(arguments)
    with alone_in(run.output_dir), process_group() as device:
        results = evaluate(run, device)
        if is_main_process():
            write(run.output_dir, results)


def evaluate(run: EvaluationRun, device: torch.device, *, suffix: str = "") -> dict[str, Results]:
    """Evaluate a model on the tasks of a run. No other process may work in its output folder.

    Args:
        suffix: ends the names of the results and of the files of answers.
    """
    # 1. Read the questions first, so that missing files are reported before a model is loaded
    tasks = run.evaluation.build_tasks()
    if is_main_process():
        print(run_cost(tasks, run.evaluation.settings.generation), flush=True)

    # 2. Load model and processor, on the GPU if there is one, quantised if the protocol says so
    load_in = run.quantisation(tasks)
    if load_in is not None and not is_bitsandbytes_available():
        raise ImportError(
            f"The language model is to be loaded in {load_in} (the paper's protocol: 8bit), but bitsandbytes is not "
            'installed: `pip install "mblip[eval]"`, or `--load_in none` (in a recipe `load_in: none`).'
        )
    has_tower = run.features is None or shows_grey_image(tasks)
    precision = Precision.named(run.dtype, load_in, has_tower=has_tower)
    model, processor = load_checkpoint(run.model, precision)
    features = (
        None if run.features is None else open_evaluation_features(run.features, model, processor, run.dtype, tasks)
    )
    model = nn.Module.to(model, device)
    if is_main_process():
        print(f"Loaded {run.model}: {describe_precision(model)}.", flush=True)

    # 3. Keep the recipe, and the digest of the weights, which proves what was evaluated
    recipe, weights = to_plain(run), digest_weights(model)
    kept, text = run.output_dir / f"recipe{suffix}.yaml", write_yaml(recipe)
    if is_main_process():
        has_results = kept.is_file() and Path(run.output_dir, RESULTS_FILE).is_file()
        if has_results and kept.read_text(encoding="utf-8") != text:
            logger.warning("%s has results of another run. To keep them, give another --output_dir.", run.output_dir)
        write_text(kept, text)

    # 4. For each task, generate the answers (saved as they come) and score them
    return {
        f"{task.name}{suffix}": evaluate_task(
            model,  # type: ignore[arg-type]  # its `generate` is typed as transformers has it, with all its outputs
            processor,
            task,
            settings=run.evaluation.settings,
            predictions_path=predictions_path(run.output_dir, f"{task.name}{suffix}"),
            keeps_partial=True,
            base=base_of_adapter(run.model),
            weights=weights,
            recipe=recipe,
            later=tasks[number:],
            features=features,
        )
        for number, task in enumerate(tasks, start=1)
    }


def write(folder: Path, results: Mapping[str, Results]) -> None:
    """Write the results as JSON, as a table, and as a report with charts."""
    table = "\n".join(conditions_table(result) for result in results.values())
    write_results(folder, results, table)
    write_report(folder, results)
    for name in results:
        forget_partial(predictions_path(folder, name))
    print(table)
    print(f"Answers, results and report are in {folder}.")
