"""Train an mBLIP model: from a recipe to a model folder with its card, log, and table of results.

    mblip train RECIPE [--field value ...]
    mblip train fine_tune_own --output_dir outputs/mine --stages.0.num_epochs 3
    torchrun --nproc_per_node 2 -m mblip train RECIPE       the same training on two processes

RECIPE is a YAML file, or the short name of one that comes with the package (`mblip recipes`). You can override any
field by its path; list entries count from 0. mblip/training/recipe.py describes all fields.

If training is killed, run the same command again. It resumes from its last checkpoint and ends with the same weights.
"""

import gc

from mblip.evaluation.processes import alone_in, starts_as_main
from mblip.loading import load_tower
from mblip.training.checkpoints import load_trained
from mblip.training.encoding import dtype_of, open_features
from mblip.training.evaluation import build_tasks, evaluate, generation_evaluations
from mblip.training.finishing import finish_model, rebuild_model, save_adapter, save_model
from mblip.training.model_card import write_card
from mblip.training.recipe import Recipe
from mblip.training.recipe_reading import parse_command_line
from mblip.training.rows import build_collator, build_rows, check_paths
from mblip.training.run_folder import leave_group, open_run, write_log
from mblip.training.run_record import write_facts
from mblip.training.starting_model import build_model
from mblip.training.trainable import choose_trainable, learning_rates
from mblip.training.trainer import MBlipTrainer, training_arguments


def main(arguments: list[str]) -> None:
    recipe = parse_command_line(arguments)
    with alone_in(recipe.output_dir):
        train(recipe)


def train(recipe: Recipe) -> None:
    """Train a recipe in its output folder. No other process may work there."""
    # 1. Output folder, and TrainingArguments of each stage. Errors in the recipe show at once
    run = open_run(recipe, is_main_process=starts_as_main())
    if run.is_finished:
        print(f"{run.model_folder} exists: this run is finished. To train again, give another --output_dir.")
        return
    all_args = [training_arguments(stage) for stage in run.stages]
    for stage in run.stages:
        if stage.weights is None:  # a finished stage needs no data
            check_paths(stage.data)
    tasks = build_tasks(recipe)

    # 2. Model and processor: composed from two components, or from a checkpoint
    # With `features`, the model gets these from the disk, and its image encoder is not loaded
    model, processor = build_model(recipe.model, recipe.seed, has_tower=recipe.features is None)
    features = open_features(run, model, processor, tasks)
    generations = generation_evaluations(run, processor, tasks, features.of_evaluation)

    for stage, args, generation, stored in zip(run.stages, all_args, generations, features.of_stages, strict=True):
        # 3. What trains: the projection (warm-up), or Q-Former, query tokens, projection and LoRA (re-alignment)
        model = choose_trainable(model, stage)
        if stage.weights is not None:
            load_trained(model, stage.weights)
            continue

        # 4. Data: source -> examples -> prompts -> rows. The collator makes batches from rows
        rows = build_rows(stage.data, stage.seed)
        collator = build_collator(processor, model, stage, stored)

        # 5. Training, from the stage's last checkpoint if there is one. The model computes the loss
        trainer = MBlipTrainer(
            model=model,
            args=args,
            data_collator=collator,
            train_dataset=rows,
            rates=learning_rates(stage.recipe),
            generation=generation,
            keep_best=stage.training["keep_best"],
        )
        write_facts(stage.folder, model, rows, args)
        trainer.train()
        is_sharded = trainer.is_sharded
        del trainer
        gc.collect()  # frees the memory of the optimizer
        if is_sharded:
            model = rebuild_model(run, recipe.model.load_in)

    # 6. From here on a single process: log and loss curve, the finished model, and its results
    if not leave_group():
        return
    write_log(run)
    save_adapter(model, run)
    model = finish_model(model, run)
    table = evaluate(model, processor, run, tasks, features.of_evaluation)

    # 7. Saving: model, processor and card in one folder
    if recipe.features is not None:
        model.vision_model = load_tower(model, dtype_of(recipe.model.dtype))
    save_model(model, processor, write_card(run, table), run)
    print(table)
    print(f"The model is in {run.model_folder}; log, loss curve and results are in {run.folder}.")
