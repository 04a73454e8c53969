"""Answers in a Trainer's evaluation: they disturb no training, and the best checkpoint is taken by them."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from transformers import Trainer, TrainingArguments

from mblip import train
from mblip.data import MBlipCollator, TrainingRows, load_rows
from mblip.evaluation import ExactMatch, GenerationChanges, RunSettings, Setup, in_training
from mblip.evaluation.in_training import GenerationEvaluation
from mblip.evaluation.trial import fixed_subset
from mblip.training.checkpoints import load_trained
from mblip.training.trainable import set_trainable
from mblip.training.trainer import MBlipTrainer, training_arguments
from scenes.task import scenes
from tests.tiny import tiny_model, tiny_processor
from tests.training.test_mblip_trainer import stage_run
from tests.training.tiny_run import write_components, write_recipe, write_tiny_rows

pytestmark = pytest.mark.slow

SHORT = RunSettings(generation=GenerationChanges(max_new_tokens=3))
TASK = scenes(Setup(), languages=["en", "sw"], num_images=8, conditions=["as_is", "shuffled", "questions"])


class Scripted(GenerationEvaluation):
    """Says what it was told to, in place of a score."""

    def __init__(self, *scores):
        super().__init__(tiny_processor("mt5"), [TASK], num_images=1)
        self.scores = list(scores)

    def figures(self, model, *, is_shared=True):
        return {self.main: self.scores.pop(0)}


def rows_and_collator(folder: Path, model, family):
    write_tiny_rows(folder / "rows.parquet")
    collator = MBlipCollator(
        tiny_processor(family),
        model.config,
    )
    return TrainingRows(load_rows(folder / "rows.parquet")), collator


def train_scripted(folder, generation, **training):
    model = set_trainable(tiny_model("mt5"), "warm_up", None)
    rows, collator = rows_and_collator(folder, model, "mt5")
    stage = stage_run(folder, "warm_up", save_steps=1, eval_steps=1, **training)
    arguments, keep_best = training_arguments(stage), stage.training["keep_best"]
    MBlipTrainer(model, arguments, collator, rows, generation=generation, keep_best=keep_best).train()
    return model, stage


def test_a_subset_has_the_same_images_in_every_language_and_no_controls():
    (chosen,) = GenerationEvaluation(tiny_processor("mt5"), [TASK], num_images=3).tasks
    asked = {(e.language, e.condition): set() for e in chosen.examples}
    for entry in chosen.examples:
        asked[entry.language, entry.condition].add(entry.image_id)
    assert "shuffled" not in {condition for _, condition in asked}
    assert len(asked["en", "as_is"]) == 3
    assert asked["en", "as_is"] == asked["sw", "as_is"]
    assert {e.id for e in fixed_subset(chosen, 2).examples} < {e.id for e in chosen.examples}
    with pytest.raises(ValueError, match="Found `num_images` 0"):
        fixed_subset(TASK, 0)


@dataclass(frozen=True)
class NumErrors(ExactMatch):
    """A figure that is better the lower it is, as CHAIR's."""

    greater_is_better: bool = False


def test_a_figure_that_is_better_the_lower_it_is_never_tells_the_best_checkpoint():
    errors = replace(TASK, name="errors", metric=NumErrors())
    generation = GenerationEvaluation(tiny_processor("mt5"), [TASK, errors], num_images=1, settings=SHORT)
    scores = {"scenes": 0.25, "errors": 1.0}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(in_training, "run_task", lambda *arguments, **settings: None)
        patch.setattr(
            in_training,
            "score_predictions",
            lambda task, _: ([SimpleNamespace(language="en", value=scores[task.name])], []),
        )
        figures = generation.figures(tiny_model("mt5"))
    assert figures == {
        "eval_scenes_en": 0.25,
        "eval_scenes": 0.25,
        "eval_errors_en": 1.0,
        "eval_errors": 1.0,
        "eval_generation": 0.25,
    }
    with pytest.raises(ValueError, match="Found errors, expected at least one task whose figure should be high"):
        GenerationEvaluation(tiny_processor("mt5"), [errors])


@pytest.mark.parametrize("family", ["mt5", "llama"])
def test_transformers_own_trainer_evaluates_by_answers_and_takes_its_best_by_them(tmp_path, family):
    model = set_trainable(tiny_model(family), "warm_up", None)
    rows, collator = rows_and_collator(tmp_path, model, family)
    generation = GenerationEvaluation(tiny_processor(family), [TASK], num_images=2, settings=SHORT)
    arguments = TrainingArguments(
        output_dir=str(tmp_path / "out"),
        max_steps=2,
        eval_strategy="steps",
        eval_steps=1,
        save_strategy="best",
        metric_for_best_model=generation.main,
        greater_is_better=True,
        remove_unused_columns=False,
        accelerator_config={"dispatch_batches": False},
        prediction_loss_only=True,
        report_to="none",
        use_cpu=True,
    )
    trainer = Trainer(
        model=model,
        args=arguments,
        data_collator=collator,
        train_dataset=rows,
        eval_dataset=[rows[0]],
        callbacks=[generation],
    )
    trainer.train()
    logged = [entry for entry in trainer.state.log_history if generation.main in entry]
    assert [entry["step"] for entry in logged] == [1, 2]
    assert {"eval_scenes", "eval_scenes_en", "eval_scenes_sw"} <= logged[0].keys()
    assert (trainer.state.best_metric, trainer.state.best_global_step) == (0.0, 1)  # untrained, so never right


@pytest.mark.parametrize(("scores", "best"), [((0.1, 0.5, 0.2), 2), ((0.1, 0.5, 0.5), 2), ((0.1, 0.2, 0.3), 3)])
def test_a_stage_ends_with_the_weights_of_the_best_evaluation(tmp_path, scores, best):
    model, stage = train_scripted(tmp_path, Scripted(*scores), keep_best=True)
    assert stage.result.name == "checkpoint-3"
    assert stage.weights.name == f"checkpoint-{best}"
    assert sorted(path.name for path in stage.folder.glob("checkpoint-*")) == sorted({"checkpoint-2", "checkpoint-3"})
    expected = set_trainable(tiny_model("mt5"), "warm_up", None)
    load_trained(expected, stage.weights)
    assert torch.equal(model.language_projection.weight, expected.language_projection.weight)


def test_without_keep_best_the_last_weights_stay(tmp_path):
    _, stage = train_scripted(tmp_path, Scripted(0.5, 0.1, 0.1))
    assert stage.weights == stage.result


@pytest.mark.parametrize("family", ["mt5", "llama"])
def test_evaluations_disturb_no_training_and_are_in_the_log(tmp_path, family):
    """The last step is evaluated whatever `eval_steps` is."""
    write_components(tmp_path, family)
    evaluation = {
        "scenes.task:scenes": {"languages": ["en", "sw"], "num_images": 4},
        "settings": {"generation": {"max_new_tokens": 3}},
    }
    lora = {"r": 2, "lora_dropout": 0.1}
    stages = [{"stage": "re_alignment", "max_steps": 3, "batch_size": 4, "learning_rate": 1e-3, "lora": lora}]
    outputs = {}
    for name, training in (("plain", {}), ("evaluated", {"eval_steps": 2, "eval_images": 2})):
        recipe = write_recipe(
            tmp_path, output_dir=str(tmp_path / name), stages=stages, training=training, evaluation=evaluation
        )
        train.main([str(recipe)])
        outputs[name] = (tmp_path / name / "model" / "model.safetensors").read_bytes()
    assert outputs["evaluated"] == outputs["plain"]
    log = [json.loads(line) for line in (tmp_path / "evaluated" / "training_log.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in log if "eval_generation" in entry] == [2, 3]


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ({"keep_best": True}, "`keep_best` needs evaluations during training"),
        (
            {"keep_best": True, "eval_steps": 3, "save_steps": 2},
            "`eval_steps` is 3, expected a multiple of `save_steps`",
        ),
        ({"eval_steps": 2}, "needs a task, but `evaluation` names none"),
    ],
)
def test_what_cannot_be_evaluated_is_an_error_before_training(tmp_path, training, message):
    with pytest.raises(ValueError, match=message):
        train.main([str(write_recipe(tmp_path, training=training))])


def test_files_of_a_benchmark_that_lack_are_named_before_anything_is_trained(tmp_path):
    write_components(tmp_path, "mt5")
    evaluation = {"xvnli": {"pairs": str(tmp_path / "{language}.jsonl"), "images": "photos", "languages": ["ar"]}}
    recipe = write_recipe(tmp_path, output_dir=str(tmp_path / "out"), evaluation=evaluation)
    with pytest.raises(ValueError, match=r"There is no file .*ar\.jsonl"):
        train.main([str(recipe)])
    assert not list((tmp_path / "out").glob("*/checkpoint-*"))
