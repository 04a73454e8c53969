"""From a recipe to transformers' `TrainingArguments`."""

import os
from pathlib import Path

import torch
from transformers import TrainingArguments

from mblip.evaluation.in_training import GenerationEvaluation
from mblip.loading import has_bf16

from .recipe import StageRecipe, TrainingRecipe


def training_arguments(stage: StageRecipe, training: TrainingRecipe, *, folder: Path, seed: int) -> TrainingArguments:
    """The arguments of one stage, whose checkpoints go to `folder`.

    Raises:
        ValueError: the batch does not divide by processes and accumulation steps, or one process sees several GPUs.
    """
    num_processes = int(os.environ.get("WORLD_SIZE", "1"))
    num_parts = num_processes * training.gradient_accumulation_steps
    if stage.batch_size % num_parts:
        raise ValueError(
            f"`batch_size` is {stage.batch_size}, but {num_processes} process(es) x "
            f"{training.gradient_accumulation_steps} accumulation step(s) want a multiple of {num_parts}."
        )
    arguments = TrainingArguments(
        output_dir=str(folder),
        seed=seed,
        data_seed=seed,
        max_steps=stage.max_steps or -1,
        num_train_epochs=stage.num_epochs or 1,
        per_device_train_batch_size=stage.batch_size // num_parts,
        gradient_accumulation_steps=training.gradient_accumulation_steps,
        learning_rate=stage.learning_rate,
        lr_scheduler_type=training.lr_scheduler,
        warmup_steps=stage.warmup_steps,
        weight_decay=training.weight_decay,
        max_grad_norm=training.max_grad_norm,
        activation_checkpointing=training.gradient_checkpointing,
        activation_checkpointing_kwargs={"use_reentrant": False} if training.gradient_checkpointing else None,
        bf16=has_bf16(),
        use_cpu=not torch.cuda.is_available(),  # said explicitly, or processes of torchrun on a CPU train apart
        logging_steps=training.logging_steps,
        logging_first_step=True,
        save_strategy="steps",
        save_steps=training.save_steps,
        eval_strategy="no" if training.eval_steps is None else "steps",
        eval_steps=training.eval_steps,
        metric_for_best_model=None if training.eval_steps is None else GenerationEvaluation.main,
        greater_is_better=None if training.eval_steps is None else True,
        dataloader_pin_memory=torch.cuda.is_available(),
        dataloader_num_workers=training.dataloader_num_workers,
        report_to=list(training.report_to) or "none",
        remove_unused_columns=False,  # rows are not yet the model's inputs
        accelerator_config={"dispatch_batches": False},  # slices would tear `pixel_values` from their prompts
        ddp_find_unused_parameters=False,  # the model gives zero gradients where a batch has no image
        average_tokens_across_devices=True,
    )
    if arguments.world_size != num_processes:
        raise ValueError(
            f"{num_processes} processes were started, but transformers sees {arguments.world_size}: each would train "
            "by itself. Start them with torchrun."
        )
    if arguments.n_gpu > 1:
        raise ValueError(
            f"One process sees {arguments.n_gpu} GPUs, among which transformers would tear batches apart. Start one "
            f"process per GPU, `torchrun --nproc_per_node {arguments.n_gpu} train.py ...`, or set "
            "CUDA_VISIBLE_DEVICES=0."
        )
    return arguments
