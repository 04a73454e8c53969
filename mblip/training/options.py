"""`training:` and `lora:` of a recipe: transformers' `TrainingArguments` and PEFT's `LoraConfig` by their own names.

What may stand there is read off the installed release, so an option that a library adds needs no edit here. Below are
the paper's defaults, and the fields that a recipe says elsewhere or that would silently break resuming or batches,
each with what to write instead.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, get_type_hints

from peft import LoraConfig
from transformers import TrainingArguments

from mblip.data.recipes.strict_loading import join, plain_arguments
from mblip.data.recipes.yaml_values import Located

# Those of the released checkpoints (code of gregor-ge/mBLIP, commit 0380e68); logging, saving and evaluating are ours.
DEFAULTS: dict[str, Any] = {
    "lr_scheduler_type": "cosine",
    "weight_decay": 0.1,
    "max_grad_norm": 1.0,
    "gradient_accumulation_steps": 1,
    "logging_steps": 10,
    "logging_first_step": True,
    "save_steps": 500,
    "save_total_limit": 2,
    "eval_images": 32,
    "keep_best": False,
}
LORA_DEFAULTS: dict[str, Any] = {"r": 8, "lora_alpha": 16, "lora_dropout": 0.05}

# Beside the fields of `TrainingArguments`: so many image sets are asked about in each language at each evaluation; and
# a stage ends with the weights of the best evaluation instead of the last ones.
OWN_FIELDS = {"eval_images": int, "keep_best": bool}

_BATCH = "give the stage `batch_size`, of one step over all processes, and `training.gradient_accumulation_steps`."
_ORDER = "a resumed run finds its place in the rows by their order, which the recipe's `seed` draws: take it out."
_SAVED = "give `save_steps`: a run goes on from its last checkpoint, and a stage from that of the one before."
_BATCHES = "batches would be cut between images and prompts: take it out."
_NO_EFFECT = "it has no effect in a recipe: take it out."
INSTEAD: Mapping[str, str] = {
    # What a stage or the recipe says itself
    "output_dir": "give the recipe's own `output_dir`.",
    "per_device_train_batch_size": _BATCH,
    "auto_find_batch_size": _BATCH,
    "max_steps": "give the stage `max_steps`.",
    "num_train_epochs": "give the stage `num_epochs`.",
    "learning_rate": "give the stage `learning_rate` and `lora_learning_rate`.",
    "warmup_steps": "give the stage `warmup_steps`.",
    "warmup_ratio": "give the stage `warmup_steps`: below 1 they are a share of all steps.",
    "seed": "give the recipe's own `seed`.",
    "data_seed": "give the recipe's own `seed`.",
    "eval_strategy": "give `eval_steps`.",
    "hub_token": "sign in with `hf auth login`, or set HF_TOKEN: a recipe is copied into the model card.",
    # What would break resuming
    "resume_from_checkpoint": "the same line again goes on from the last checkpoint: take it out.",
    "save_only_model": "a run that is killed could not go on: take it out. Checkpoints hold what trains alone.",
    "save_strategy": _SAVED,
    "load_best_model_at_end": "give `keep_best: true`.",
    "ignore_data_skip": _ORDER,
    "train_sampling_strategy": _ORDER,
    "dataloader_in_order": _ORDER,
    "dataloader_persistent_workers": "workers that live on never hear which epoch begins: take it out.",
    # What would break batches
    "remove_unused_columns": "rows are not yet the model's inputs, and would be emptied: take it out.",
    "parallelism_config": _BATCHES,
    # What `Trainer` does not read, or what evaluation by generation does not use
    **dict.fromkeys(("do_train", "do_eval", "do_predict", "local_rank", "per_device_eval_batch_size"), _NO_EFFECT),
}
_BATCH_SLICING = ("dispatch_batches", "split_batches")  # keys of `accelerator_config`
# Optimizers that make groups of parameters from the whole model, by the beginning of their names.
_WHOLE_MODEL_OPTIMIZERS = ("lomo", "adalomo", "galore", "apollo")

_SET_BY_TRAINING = "training sets it: take it out."
LORA_INSTEAD: Mapping[str, str] = {
    "modules_to_save": "it is Q-Former, query tokens and projection, which re-alignment trains: take it out.",
    **dict.fromkeys(
        (
            *("task_type", "peft_type", "auto_mapping", "peft_version", "inference_mode"),
            *("base_model_name_or_path", "revision", "fan_in_fan_out"),
        ),
        _SET_BY_TRAINING,
    ),
}


class TrainingOptions(dict[str, Any]):
    """`training:`, of a run or a stage; `place` is where it stands, for errors that come later."""

    def __init__(self, given: Mapping[str, Any] | None = None, location: str = "training") -> None:
        super().__init__(given or {})
        self.location = location


class LoraOptions(dict[str, Any]):
    """`lora:` of a stage, the arguments of a `LoraConfig`."""


def convert_training(found: Located, path: str) -> TrainingOptions:
    """The options at `path`, those given alone.

    Raises:
        ValueError: a field is unknown, is not to be given here, or has a wrong type. The message names the location.
    """
    given = plain_arguments(_field_types(TrainingArguments) | OWN_FIELDS, found, path, INSTEAD)
    if str(given.get("optim", "")).startswith(_WHOLE_MODEL_OPTIMIZERS):
        raise ValueError(
            f"{found.value['optim'].location}: `{join(path, 'optim')}` is {given['optim']!r}, which makes groups of "
            "its own, without a learning rate per kind of parameter. Take another, such as adamw_torch or adafactor."
        )
    if "accelerator_config" in given:
        _check_accelerator(found.value["accelerator_config"], join(path, "accelerator_config"))
    return TrainingOptions(given, found.location)


def convert_lora(found: Located, path: str) -> LoraOptions:
    """The options at `path`, those given alone; errors as in `convert_training`, and what PEFT refuses."""
    given = plain_arguments(_field_types(LoraConfig), found, path, LORA_INSTEAD)
    try:
        LoraConfig(**LORA_DEFAULTS | given)
    except (ValueError, TypeError, ImportError) as error:
        raise ValueError(f"{found.location}: `{path}`: {error}") from error
    return LoraOptions(given)


def _field_types(options: type) -> dict[str, Any]:
    hints = get_type_hints(options)
    return {field.name: hints[field.name] for field in dataclasses.fields(options)}


def _check_accelerator(found: Located, path: str) -> None:
    if not isinstance(found.value, dict):
        raise ValueError(f"{found.location}: `{path}`: expected its keys and values here, not the name of a file.")
    for name in _BATCH_SLICING:
        if name in found.value:
            raise ValueError(f"{found.value[name].location}: `{join(path, name)}`: {_BATCHES}")
