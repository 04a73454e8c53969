"""transformers' Trainer with three additions, and the `TrainingArguments` of a stage.

The additions are a learning rate per kind of parameter, checkpoints that hold only what trains (see `checkpoints.py`),
and an order of rows that a resumed run repeats.

The Trainer itself resumes optimizer, schedule, random states and the position in the data. Batches depend only on
(seed, epoch), so a run that was killed and resumed ends with the same weights as one that was not.
"""

import gc
import logging
import math
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, cast

import torch
from accelerate.utils import save_fsdp_optimizer
from peft import PeftModel
from torch import nn
from torch.distributed.tensor import DTensor
from torch.utils.data import Sampler
from transformers import PreTrainedModel, Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer import SCHEDULER_NAME
from transformers.trainer_utils import SchedulerType, TrainOutput

from mblip.atomic_write import full_disk_explained, write_manifest
from mblip.data import EpochCallback, InterleavedRows, MBlipCollator, TrainingRows
from mblip.data.stable_random import stable_random
from mblip.evaluation.in_training import GenerationEvaluation
from mblip.evaluation.model_inputs import Model
from mblip.loading import has_bf16, without_adapter
from modeling_mblip import MBlipForConditionalGeneration

from .checkpoints import (
    FACTS_FILE,
    PREFIX,
    best_checkpoint,
    last_checkpoint,
    load_trained,
    newest_checkpoint,
    put_aside_after,
    save_trained,
)
from .divergence import MAX_STEPS, MAX_STEPS_FP16, check_finite, describe_gradients, describe_largest
from .options import OWN_FIELDS
from .rows import Rows
from .run_folder import StageRun
from .sharding import check_sharding, gather_trained, in_evaluation, prepare_sharding
from .trainable import LearningRates, has_separate_experts, parameter_groups

logger = logging.getLogger(__name__)

FEW_STEPS = 50
WORKER_ERROR = re.compile(r"Caught ValueError in DataLoader worker process .*\nValueError: (.*?)\s*\Z", re.DOTALL)
MAX_NAMED = 8  # rows of a batch that a message names
WITHOUT_WARM_UP = (SchedulerType.CONSTANT, SchedulerType.REDUCE_ON_PLATEAU, SchedulerType.GREEDY)


def training_arguments(stage: StageRun) -> TrainingArguments:
    """The `TrainingArguments` of one stage. Its checkpoints go to the stage's folder.

    Raises:
        ValueError: transformers refuses an option (the message names the recipe's line), `batch_size` is not a
            multiple of processes x accumulation steps, or one process sees several GPUs.
    """
    options = {name: value for name, value in stage.training.items() if name not in OWN_FIELDS}
    num_processes = int(os.environ.get("WORLD_SIZE", "1"))
    num_parts = num_processes * options["gradient_accumulation_steps"]
    if stage.recipe.batch_size % num_parts:
        raise ValueError(
            f"`batch_size` is {stage.recipe.batch_size}, but {num_processes} process(es) x "
            f"{options['gradient_accumulation_steps']} accumulation step(s) need a multiple of {num_parts}."
        )
    of_hardware = {
        "bf16": has_bf16() and not options.get("fp16"),
        "use_cpu": not torch.cuda.is_available(),  # otherwise torchrun's processes on a CPU would train separately
        "dataloader_pin_memory": torch.cuda.is_available(),
        "ddp_find_unused_parameters": False,  # a batch without images gives zero gradients, not missing ones
    }
    if options.get("eval_steps") is not None:
        options = {"metric_for_best_model": GenerationEvaluation.main, "greater_is_better": True} | options
    given: dict[str, Any] = of_hardware | options
    given |= {
        "output_dir": str(stage.folder),
        "seed": stage.seed,
        "data_seed": stage.seed,
        "max_steps": stage.recipe.max_steps or -1,
        "num_train_epochs": stage.recipe.num_epochs or 1,
        "per_device_train_batch_size": stage.recipe.batch_size // num_parts,
        "learning_rate": stage.recipe.learning_rate,
        "warmup_steps": stage.recipe.warmup_steps,
        "logging_nan_inf_filter": False,  # it would log a loss that is not finite as 0.0
        "eval_strategy": "no" if options.get("eval_steps") is None else "steps",
        "remove_unused_columns": False,  # the collator needs the columns of the rows
        # Dispatching would slice batches, and separate `pixel_values` from their prompts.
        "accelerator_config": {**options.get("accelerator_config", {}), "dispatch_batches": False},
    }
    try:
        arguments = TrainingArguments(**given)
    except (ValueError, TypeError, ImportError) as error:
        raise ValueError(f"{stage.training.location}: `training`: {error}") from error
    if arguments.world_size != num_processes:
        raise ValueError(
            f"{num_processes} processes were started, but transformers sees {arguments.world_size}, so each would "
            "train separately. Start them with torchrun."
        )
    if arguments.n_gpu > 1:
        raise ValueError(
            f"One process sees {arguments.n_gpu} GPUs, expected 1: transformers would split batches. Use `torchrun "
            f"--nproc_per_node {arguments.n_gpu} -m mblip train ...`, or set CUDA_VISIBLE_DEVICES=0."
        )
    check_sharding(arguments, stage.training.location)
    return arguments


class RowOrder(Sampler[int]):
    """A random order of rows that depends only on (seed, epoch), cut to whole steps.

    Rows that are cut off in one epoch come in another. We do not use the Trainer's sampler, because it loses count of
    epochs when several processes resume.
    """

    def __init__(self, num_rows: int, rows_per_step: int, seed: int) -> None:
        if num_rows < rows_per_step:
            raise ValueError(
                f"There are {num_rows} rows, but a step takes {rows_per_step} (`batch_size`). Lower `batch_size`, or "
                "add data."
            )
        self.num_rows = num_rows
        self.num_taken = num_rows - num_rows % rows_per_step
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, which determines the order."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.num_taken

    def __iter__(self) -> Iterator[int]:
        order = list(range(self.num_rows))
        stable_random(self.seed, "row order", self.epoch).shuffle(order)
        return iter(order[: self.num_taken])


class StageCallback(TrainerCallback):
    """Tells a `RowOrder` each epoch, which accelerate does only in some cases, and evaluates at the last step, too."""

    def __init__(self, order: RowOrder | None) -> None:
        self.order = order

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Set the epoch, also if the Trainer resumes within it."""
        if self.order is not None:
            self.order.set_epoch(int(state.epoch or 0))

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Ask for the evaluation, whatever `eval_steps` is."""
        if state.global_step >= state.max_steps and args.eval_strategy != "no":
            control.should_evaluate = True


class MBlipTrainer(Trainer):
    """Trains the parameters that `set_trainable` chose.

    Training resumes from the last complete checkpoint in `args.output_dir`, if there is one.
    `args.label_smoothing_factor` applies to the model's own loss, which computes no full logits.

    A step whose loss or gradient is not finite is logged and not applied. Several in a row end the training with a
    ValueError (divergence.py).

    Args:
        model: the model that `set_trainable` returned.
        args: the arguments that `training_arguments` returned.
        data_collator: turns rows into batches.
        train_dataset: the rows.
        rates: peak learning rates; None: `args.learning_rate` for all.
        generation: the evaluation during training; None: none.
        keep_best: end with the weights of the best evaluation instead of the last ones.
    """

    def __init__(
        self,
        model: PreTrainedModel | PeftModel,
        args: TrainingArguments,
        data_collator: MBlipCollator,
        train_dataset: Rows,
        *,
        rates: LearningRates | None = None,
        generation: GenerationEvaluation | None = None,
        keep_best: bool = False,
    ) -> None:
        self.order: RowOrder | None = None
        if isinstance(train_dataset, TrainingRows | InterleavedRows):
            rows_per_step = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
            self.order = RowOrder(len(train_dataset), rows_per_step, args.seed)
        if args.ddp_find_unused_parameters is False and has_separate_experts(model):
            args.ddp_find_unused_parameters = True  # no batch reaches every expert
        use_cache = vars(model.config).get("use_cache")
        with _passing_for_adapted(model):
            super().__init__(
                model=model,
                args=args,
                data_collator=data_collator,
                train_dataset=train_dataset,
                eval_dataset=None if generation is None else generation.tasks,  # see `evaluate`
                callbacks=[EpochCallback(), StageCallback(self.order)],
            )
        # The Trainer sets `use_cache`, which our forward does not read, and the finished model would keep.
        del model.config.use_cache
        if use_cache is not None:
            model.config.use_cache = use_cache
        self.label_smoother = None  # the Trainer's would remove the labels and need all logits
        assert args.output_dir is not None  # `training_arguments` sets it
        self.folder = Path(args.output_dir)
        self.trained_model = model
        rate = args.learning_rate
        self.rates = LearningRates(projection=rate, qformer=rate, lora=rate, rest=rate) if rates is None else rates
        self.generation, self.keep_best = generation, keep_best
        self.started_at = time.monotonic()
        self.seconds_before: float | None = None
        self.losses: list[torch.Tensor] = []  # of the batches of this step
        self.skipped_in_a_row = self.skipped_since_log = 0
        self.broken_gradients = ""
        if args.fsdp and not self.is_fsdp_enabled:
            raise ValueError("`fsdp` is set, but accelerate does not shard here. It needs GPUs, and torchrun.")
        if self.is_fsdp_enabled:
            prepare_sharding(self.accelerator.state.fsdp_plugin, self._bare_model)

    @property
    def _bare_model(self) -> MBlipForConditionalGeneration:
        return without_adapter(self.trained_model)

    @property
    def is_sharded(self) -> bool:
        """Whether the model is in shards after training (FSDP, DeepSpeed), and must be loaded again."""
        return self.is_fsdp_enabled or self.is_deepspeed_enabled

    def train(self, resume_from_checkpoint: str | bool | None = None, *args: Any, **kwargs: Any) -> TrainOutput:
        """Train as the Trainer does. None resumes from the last complete checkpoint, if there is one."""
        gc.collect()  # removes the DistributedDataParallel hooks of an earlier Trainer on this model
        if resume_from_checkpoint is None:
            last = last_checkpoint(self.folder, keep_best=self.keep_best)
            resume_from_checkpoint = None if last is None else str(last)
            if self.args.should_save:
                put_aside_after(last, self.folder)
        config = self.trained_model.config
        smoothing_before = config.label_smoothing
        config.label_smoothing = self.args.label_smoothing_factor or smoothing_before
        try:
            output = super().train(resume_from_checkpoint, *args, **kwargs)
        except ValueError as error:
            if (told := WORKER_ERROR.match(str(error))) is None:
                raise
            raise ValueError(told[1]) from error
        finally:
            config.label_smoothing = smoothing_before
        if self.keep_best and not self.is_sharded:
            self.accelerator.wait_for_everyone()
            last = last_checkpoint(self.folder)
            assert last is not None  # written at the last step
            load_trained(self.trained_model, best_checkpoint(last))
        self.accelerator.free_memory()
        return output

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """The Trainer's optimizer, with our `parameter_groups`."""
        optimizer_class, options = self.get_optimizer_cls_and_kwargs(self.args)
        groups = parameter_groups(self.trained_model, self.rates, self.args.weight_decay)
        self.optimizer_cls_and_kwargs = optimizer_class, options | {"params": groups}
        return super().create_optimizer(model)

    def create_scheduler(
        self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None
    ) -> torch.optim.lr_scheduler.LRScheduler:
        """The Trainer's, with a warning if there are few steps, or none at the full learning rate."""
        warmup_steps = self.args.get_warmup_steps(num_training_steps)
        is_warmed_up = self.args.lr_scheduler_type not in WITHOUT_WARM_UP
        if is_warmed_up and warmup_steps >= num_training_steps and self.is_world_process_zero():
            what = "`warmup_steps` is %d, not below the %d steps of %s: the full learning rate never comes. Lower it."
            logger.warning(what, warmup_steps, num_training_steps, self.folder.name)
        if num_training_steps < FEW_STEPS and self.is_world_process_zero():
            what = "%s has %d optimizer steps, which change little. Raise `num_epochs`, or lower `batch_size`."
            logger.warning(what, self.folder.name, num_training_steps)
        return super().create_scheduler(num_training_steps, optimizer)

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """The Trainer's. It also keeps the loss, and after a skipped step looks at gradients before clipping."""
        loss = super().training_step(*args, **kwargs)
        self.losses.append(loss)
        if self.skipped_in_a_row and not self.is_sharded:
            self.broken_gradients = describe_gradients(self.trained_model)
        return loss

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Run `generation` and return its scores. Computes no loss."""
        assert self.generation is not None  # without it, the arguments ask for no evaluation
        model = cast(Model, self.trained_model)
        with in_evaluation(self.trained_model, self._bare_model) if self.is_fsdp_enabled else nullcontext():
            figures = self.generation.figures(model, is_shared=not self.is_sharded)
        if self.keep_best and not math.isfinite(best_by := figures[self.generation.main]):
            raise ValueError(
                f"`{self.generation.main}` is {best_by} after step {self.state.global_step}, expected a finite score "
                "for `keep_best`. Check the metric of your task, or take `keep_best` out."
            )
        self.log(dict(figures))
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, figures)
        return figures

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log as the Trainer does, plus LoRA's learning rate and the seconds of training without interruptions."""
        if self.seconds_before is None:
            history = self.state.log_history
            self.seconds_before = history[-1]["seconds"] if history else 0.0
        logs["seconds"] = self.seconds_before + time.monotonic() - self.started_at
        if "loss" in logs:
            self._tr_loss.zero_()  # the Trainer subtracts it from itself, which leaves nan if it is not finite
            if self.skipped_since_log:
                logs["skipped_steps"] = self.skipped_since_log
            self.skipped_since_log = 0
        if "learning_rate" in logs and self.rates.lora:
            logs["learning_rate_lora"] = logs["learning_rate"] * self.rates.lora / self.rates.qformer
        super().log(logs, start_time)

    # Private methods of the Trainer. Each comment says why we override it.

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int] | None:
        # The Trainer's sampler loses count of epochs when several processes resume.
        return self.order

    def _get_grad_norm(self, model: nn.Module, grad_norm: Any = None) -> Any:
        # The last call before the optimizer's step. All processes see all losses, so they skip and end together.
        norm = super()._get_grad_norm(model, grad_norm)
        norm = norm.full_tensor() if isinstance(norm, DTensor) else norm
        values = torch.stack([*self.losses, torch.as_tensor(0.0 if norm is None else norm).to(self.losses[0])])
        self.losses.clear()
        values = self.accelerator.gather(values).view(-1, len(values))
        if values.isfinite().all():
            self.skipped_in_a_row, self.broken_gradients = 0, ""
        else:
            self._skip_step(model, values)
        return norm

    def _skip_step(self, model: nn.Module, values_PN: torch.Tensor) -> None:
        """Skip a step whose loss or gradient is not finite, or end the training.

        Args:
            values_PN: of each process, the loss of each batch, and the norm of the gradient.
        """
        self.skipped_in_a_row += 1
        self.skipped_since_log += 1
        is_scaled = self.accelerator.scaler is not None  # in fp16. The scaler itself skips the step
        if not is_scaled:
            model.zero_grad()  # the optimizer skips parameters without a gradient
        losses_PB, norm = values_PN[:, :-1], values_PN[0, -1].item()
        broken_P2 = (~losses_PB.isfinite()).nonzero().tolist()
        rows = self._name_rows(*broken_P2[0]) if broken_P2 else ""
        found = (
            f"loss {losses_PB.sum(1).mean().item():.4g}, gradient norm {norm:.4g}, learning rate "
            f"{self._get_learning_rate():.4g}{self.broken_gradients}{rows}"
        )
        step = f"step {self.state.global_step + 1} of {self.folder.name}"
        if self.is_world_process_zero():
            logger.warning("The loss or gradient of %s is not finite, so it is not applied: %s.", step, found)
        is_last = self.state.global_step + 1 >= self.state.max_steps and not is_scaled
        if not is_last and self.skipped_in_a_row < (MAX_STEPS_FP16 if is_scaled else MAX_STEPS):
            return
        largest = "" if self.is_sharded else f"; {describe_largest(self.trained_model)}"
        raise ValueError(
            f"Training diverged: {self.skipped_in_a_row} step(s) in a row, up to {step}, had a loss or gradient that "
            f"is not finite ({found}{largest}).\n{self._hint}"
        )

    def _name_rows(self, process: int, batch: int) -> str:
        """The image ids of a batch of the present step, in words; "" if the rows are a stream."""
        if self.order is None:
            return ""
        size, num_batches = self.args.train_batch_size, self.args.gradient_accumulation_steps
        step = self.state.global_step % (len(self.order) // (size * num_batches * self.args.world_size))
        start = ((step * num_batches + batch) * self.args.world_size + process) * size
        dataset = cast(TrainingRows | InterleavedRows, self.train_dataset)
        rows = [dataset[row]["image_id"] for row in list(self.order)[start : start + size]]
        return f", first in the batch of {', '.join(rows[:MAX_NAMED])}{', ...' if size > MAX_NAMED else ''}"

    @property
    def _hint(self) -> str:
        last = newest_checkpoint(self.folder)
        saved = "There is no checkpoint yet." if last is None else f"{last.name} holds the last weights saved."
        return f"Lower the learning rate, or check the rows, and give another --output_dir. {saved}"

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        # The Trainer's does not look at the weights, and does not mark a checkpoint as complete.
        if not self.is_sharded:
            trained = ((name, each) for name, each in self.trained_model.named_parameters() if each.requires_grad)
            check_finite(trained, f"the model after step {self.state.global_step}", self._hint)
        checkpoint = self.folder / f"{PREFIX}{self.state.global_step}"
        with full_disk_explained(checkpoint):
            super()._save_checkpoint(model, trial)
            self.accelerator.wait_for_everyone()
            if self.args.should_save:
                if (facts := self.folder / FACTS_FILE).is_file():  # from `mblip train`
                    shutil.copy(facts, checkpoint)
                write_manifest(checkpoint)
        self.accelerator.wait_for_everyone()

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Save the parameters that train. If they are in shards, all processes must call this."""
        if not self.is_fsdp_enabled:
            return super().save_model(output_dir, _internal_call)
        state_dict = gather_trained(self.trained_model)  # the Trainer gathers what is frozen, too
        check_finite(state_dict.items(), f"the model after step {self.state.global_step}", self._hint)
        return self._save(output_dir, state_dict)

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        # The Trainer's writes a whole model, or an adapter that names a base.
        if self.args.should_save:
            save_trained(self.trained_model, Path(output_dir or self.folder), state_dict)

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        if not self.is_fsdp_enabled:
            super()._save_optimizer_and_scheduler(output_dir)
            return
        # The Trainer's writes the weights again, in a warm-up those of the whole model.
        save_fsdp_optimizer(
            self.accelerator.state.fsdp_plugin, self.accelerator, self.optimizer, self.model, output_dir
        )
        if self.args.should_save and self.lr_scheduler is not None:
            torch.save(self.lr_scheduler.state_dict(), Path(output_dir, SCHEDULER_NAME))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        # The Trainer's looks for files that its own `_save` or FSDP writes.
        load_trained(self.trained_model, Path(resume_from_checkpoint))


@contextmanager
def _passing_for_adapted(model: PreTrainedModel | PeftModel) -> Iterator[None]:
    """Make the Trainer accept a quantised model without an adapter, which the warm-up needs.

    The Trainer refuses such a model, because quantised weights cannot train. We train only the projection, which is
    never quantised.
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
