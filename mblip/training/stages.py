"""Steps 3 to 5 of train.py, one stage at a time: what trains, the collator, and training with resuming."""

import gc

from peft import LoraConfig, PeftModel
from transformers import set_seed

from mblip.data import MBlipCollator
from mblip.data.token_ids import Processor
from mblip.evaluation.in_training import GenerationEvaluation
from mblip.loading import quiet_peft
from modeling_mblip import MBlipForConditionalGeneration

from .checkpoints import last_checkpoint, load_trained
from .recipe import LoraRecipe, StageRecipe, TrainingRecipe
from .rows import Rows
from .run_folder import StageRun
from .run_record import write_facts
from .trainable import LearningRates, LoraSettings, set_trainable
from .trainer import MBlipTrainer
from .training_arguments import training_arguments

Model = MBlipForConditionalGeneration | PeftModel


def choose_trainable(model: Model, stage: StageRun) -> Model:
    """Freeze everything but what the stage trains; fresh LoRA weights are drawn by the stage's seed.

    A re-alignment that follows another one, or begins from an adapter, trains the same LoRA further.

    Raises:
        ValueError: the stage trains no LoRA, or one of another shape than the adapter's.
    """
    if isinstance(model, PeftModel):
        _check_same_lora(model, stage.recipe)
        return model
    set_seed(stage.seed)
    with quiet_peft():
        chosen = set_trainable(model, stage.recipe.stage, _lora_settings(stage.recipe.lora))
    assert isinstance(chosen, MBlipForConditionalGeneration | PeftModel)
    return chosen


def build_collator(processor: Processor, model: Model, stage: StageRun) -> MBlipCollator:
    """The collator that makes rows into the batches of this model."""
    return MBlipCollator(
        processor,
        model.config,
        max_text_tokens=stage.data.max_text_tokens,
        max_target_tokens=stage.data.max_target_tokens,
        prompts_per_image=stage.data.prompts_per_image,
        augmentation=stage.data.augmentation,
        seed=stage.seed,
    )


def train_stage(
    model: Model,
    rows: Rows,
    collator: MBlipCollator,
    stage: StageRun,
    training: TrainingRecipe,
    generation: GenerationEvaluation | None = None,
) -> None:
    """Train a stage to its end, from its last whole checkpoint if there is one. It ends with the weights of the last
    step, or with `keep_best` of the best evaluation."""
    recipe = stage.recipe
    trainer = MBlipTrainer(
        model,
        training_arguments(recipe, training, folder=stage.folder, seed=stage.seed),
        collator=collator,
        rows=rows,
        rates=LearningRates(
            projection=recipe.learning_rate,
            qformer=recipe.learning_rate,
            lora=0.0 if recipe.lora is None else recipe.lora.learning_rate,
            rest=recipe.learning_rate if recipe.stage == "full" else None,
        ),
        save_total_limit=training.save_total_limit,
        generation=generation,
        keeps_best=stage.keeps_best,
    )
    if trainer.is_world_process_zero():
        write_facts(stage.folder, model, rows, trainer.args)
    checkpoint = last_checkpoint(stage.folder)
    trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    if stage.keeps_best:
        assert stage.weights is not None  # the stage is trained to its end
        load_trained(model, stage.weights)
    trainer.accelerator.free_memory()
    del trainer
    gc.collect()  # DistributedDataParallel's hooks on the parameters go with it; the next stage sets its own


def _check_same_lora(model: PeftModel, recipe: StageRecipe) -> None:
    wanted, config = _lora_settings(recipe.lora), model.peft_config["default"]
    assert isinstance(config, LoraConfig)
    found = LoraSettings(rank=config.r, alpha=config.lora_alpha, dropout=config.lora_dropout)
    if found != wanted:
        raise ValueError(
            f"The stage {recipe.stage} trains {wanted or 'no LoRA'}, but the run begins from an adapter with {found}, "
            "which is trained further. Give the stage the same, or merge the adapter first: `model.adapter: fresh`."
        )


def _lora_settings(lora: LoraRecipe | None) -> LoraSettings | None:
    return None if lora is None else LoraSettings(rank=lora.rank, alpha=lora.alpha, dropout=lora.dropout)
