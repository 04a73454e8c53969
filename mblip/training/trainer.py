"""transformers' Trainer with three things of its own.

A learning rate per kind of parameter; checkpoints that hold what trains and nothing else, and are whole or not there;
and an order of rows that a resumed run finds again.

What is resumed, by the Trainer itself: optimizer, schedule, random states, and the position in the data. Batches are
drawn by (seed, epoch) alone, so a run that was killed ends with the very weights of one that was not.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from peft import PeftModel
from torch import nn
from torch.utils.data import Sampler
from transformers import PreTrainedModel, Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from mblip.data import EpochCallback, InterleavedRows, MBlipCollator, TrainingRows
from mblip.data.stable_random import stable_random
from mblip.evaluation.in_training import GenerationEvaluation
from mblip.evaluation.model_inputs import Model

from .checkpoints import PREFIX, UNFINISHED, load_trained, publish, remove_old, remove_unfinished, save_trained
from .rows import Rows
from .trainable import LearningRates, parameter_groups


class RowOrder(Sampler[int]):
    """Rows in an order drawn by (seed, epoch), cut to whole steps: what is left over comes in another epoch.

    The Trainer's own sampler loses count of epochs when several processes resume.
    """

    def __init__(self, num_rows: int, rows_per_step: int, seed: int) -> None:
        if num_rows < rows_per_step:
            raise ValueError(
                f"There are {num_rows} rows, but a step takes {rows_per_step} (`batch_size`). Lower it, or add data."
            )
        self.num_rows = num_rows
        self.num_taken = num_rows - num_rows % rows_per_step
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch whose order comes next."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.num_taken

    def __iter__(self) -> Iterator[int]:
        order = list(range(self.num_rows))
        stable_random(self.seed, "row order", self.epoch).shuffle(order)
        return iter(order[: self.num_taken])


class RowOrderCallback(TrainerCallback):
    """Tells a `RowOrder` the epoch that begins; accelerate does so only in some of the cases."""

    def __init__(self, order: RowOrder) -> None:
        self.order = order

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Set the epoch. It is whole here: the Trainer begins an epoch, or resumes within it."""
        self.order.set_epoch(int(state.epoch or 0))


class LastStepCallback(TrainerCallback):
    """Evaluates at the last step too, whatever `eval_steps` is, where there are evaluations."""

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Ask for the evaluation."""
        if state.global_step >= state.max_steps and args.eval_strategy != "no":
            control.should_evaluate = True


class MBlipTrainer(Trainer):
    """Trains what `set_trainable` chose.

    Args:
        model: what `set_trainable` returned.
        args: as `training_arguments` makes them.
        collator: of the rows.
        rows: to train on.
        rates: peak learning rates.
        generation: what is asked in evaluations; None: nothing is evaluated.
        keeps_best: the checkpoint of the best evaluation stays, beside the last `save_total_limit`.
    """

    def __init__(
        self,
        model: PreTrainedModel | PeftModel,
        args: TrainingArguments,
        *,
        collator: MBlipCollator,
        rows: Rows,
        rates: LearningRates,
        save_total_limit: int,
        generation: GenerationEvaluation | None = None,
        keeps_best: bool = False,
    ) -> None:
        callbacks: list[TrainerCallback] = [EpochCallback(), LastStepCallback()]
        self.order: RowOrder | None = None
        if isinstance(rows, TrainingRows | InterleavedRows):
            rows_per_step = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
            self.order = RowOrder(len(rows), rows_per_step, args.seed)
            callbacks.append(RowOrderCallback(self.order))
        with _passing_for_adapted(model):
            super().__init__(
                model=model,
                args=args,
                data_collator=collator,
                train_dataset=rows,
                eval_dataset=None if generation is None else generation.tasks,  # see `evaluate`
                callbacks=callbacks,
            )
        assert args.output_dir is not None  # `training_arguments` gives one
        self.folder = Path(args.output_dir)
        self.trained_model = model
        self.rates = rates
        self.num_checkpoints_kept = save_total_limit
        self.generation, self.keeps_best = generation, keeps_best
        self.is_saving = False
        self.started_at = time.monotonic()
        self.seconds_before: float | None = None

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """The optimizer over `parameter_groups`."""
        if self.optimizer is None:
            optimizer_class, options = self.get_optimizer_cls_and_kwargs(self.args)
            groups = parameter_groups(self.trained_model, self.rates, self.args.weight_decay)
            self.optimizer = optimizer_class(groups, **options)
        return self.optimizer

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """The figures of `generation`; no loss is computed."""
        assert self.generation is not None  # the arguments evaluate nothing otherwise
        figures = self.generation.figures(cast(Model, self.trained_model))
        self.log(dict(figures))
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, figures)
        return figures

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add LoRA's learning rate, and the seconds this stage has been trained, interruptions left out."""
        if self.seconds_before is None:
            history = self.state.log_history
            self.seconds_before = history[-1]["seconds"] if history else 0.0
        logs["seconds"] = self.seconds_before + time.monotonic() - self.started_at
        if "learning_rate" in logs and self.rates.lora:
            logs["learning_rate_lora"] = logs["learning_rate"] * self.rates.lora / self.rates.qformer
        super().log(logs, start_time)

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int] | None:
        return self.order

    def _get_output_dir(self, trial: Any) -> str:
        """Where checkpoints are written: out of sight until they are whole."""
        return str(self.folder / UNFINISHED if self.is_saving else self.folder)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """As the Trainer's, and then moved to its place in one step."""
        self.is_saving = True
        super()._save_checkpoint(model, trial)
        self.is_saving = False
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            name = f"{PREFIX}{self.state.global_step}"
            publish(self.folder / UNFINISHED / name, self.folder / name)
            best = self.state.best_global_step if self.keeps_best else None
            remove_old(self.folder, self.num_checkpoints_kept, best=best)
            remove_unfinished(self.folder)
        self.accelerator.wait_for_everyone()

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        """The weight file of a checkpoint: what trains, nothing else."""
        if self.args.should_save:
            save_trained(self.trained_model, Path(output_dir or self.folder))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        load_trained(self.trained_model, Path(resume_from_checkpoint))


@contextmanager
def _passing_for_adapted(model: PreTrainedModel | PeftModel) -> Iterator[None]:
    """Let the Trainer take a quantised model without an adapter, as the warm-up has it.

    It refuses one for fear that quantised weights are trained; here the projection is, which is never quantised.
    """
    if isinstance(model, PeftModel):
        yield
        return
    was_adapted = model._hf_peft_config_loaded
    model._hf_peft_config_loaded = True
    try:
        yield
    finally:
        model._hf_peft_config_loaded = was_adapted
