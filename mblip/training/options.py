"""`training:` and `lora:` of a recipe: the fields of transformers' `TrainingArguments` and PEFT's `LoraConfig`.

We take the allowed fields from the installed release, so an option that a library adds needs no change here. This file
holds the paper's defaults, and the fields that are not allowed: those that a recipe sets elsewhere, and those that
would silently break resuming or batches. For each, it says what to write instead.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, get_type_hints

from peft import LoraConfig
from transformers import Blip2QFormerConfig, TrainingArguments

from mblip.data.recipes.ranges import Count, CountFrom2, CountOrZero, NotNegative, Positive, ShareBelow1
from mblip.data.recipes.strict_loading import join, plain_arguments
from mblip.data.recipes.yaml_values import Located

# As in the released checkpoints (code of gregor-ge/mBLIP, commit 0380e68), except logging, saving and evaluation.
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

# Our own fields. `eval_images`: image sets per language in each evaluation. `keep_best`: a stage ends with the weights
# of the best evaluation instead of the last ones.
OWN_FIELDS: dict[str, Any] = {"eval_images": Count, "keep_best": bool}

# Values that the libraries take, and that would train wrongly without a word or fail after the model is loaded.
TRAINING_RANGES: dict[str, Any] = {
    **dict.fromkeys(("adam_beta1", "adam_beta2", "label_smoothing_factor"), ShareBelow1),
    **dict.fromkeys(("weight_decay", "max_grad_norm", "eval_delay"), NotNegative),  # a norm of 0: no clipping
    **dict.fromkeys(("adam_epsilon", "logging_steps", "save_steps"), Positive),  # steps below 1: a share of all
    **dict.fromkeys(("gradient_accumulation_steps", "ddp_timeout"), Count),
    **dict.fromkeys(("torch_empty_cache_steps", "dataloader_prefetch_factor", "ddp_bucket_cap_mb"), Count | None),
    "dataloader_num_workers": CountOrZero,
    "fsdp": bool | None,  # transformers declares text, its deprecated form
    "neftune_noise_alpha": NotNegative | None,
    "eval_steps": Positive | None,
    "save_total_limit": CountFrom2 | None,  # the old one goes before the new one is complete
}
LORA_RANGES: dict[str, Any] = {"r": Count, "lora_alpha": Count, "lora_dropout": ShareBelow1}
LORA_PATTERNS = {"rank_pattern": Count, "alpha_pattern": Positive}  # of one layer each

_FIELDS = [field.name for field in dataclasses.fields(TrainingArguments)]
_BATCH = "give the stage `batch_size`, of one step over all processes, and `training.gradient_accumulation_steps`."
_ORDER = "a resumed run finds its position by the order of rows, which the recipe's `seed` determines: take it out."
_SAVED = "give `save_steps`: a resumed run needs its last checkpoint, and each stage that of the one before."
_BATCHES = "it would separate images from their prompts: take it out."
_NOT_PUSHED = "checkpoints hold only what trains, which others cannot load: take it out, and `mblip publish` the run."
_NO_EFFECT = "it has no effect in a recipe: take it out."
INSTEAD: Mapping[str, str] = {
    # Set elsewhere in the recipe
    "output_dir": "give the recipe's own `output_dir`.",
    "per_device_train_batch_size": _BATCH,
    "auto_find_batch_size": _BATCH,
    "max_steps": "give the stage `max_steps`.",
    "num_train_epochs": "give the stage `num_epochs`.",
    "learning_rate": "give the stage `learning_rate` and `lora_learning_rate`.",
    "warmup_steps": "give the stage `warmup_steps`.",
    "warmup_ratio": "give the stage `warmup_steps`: a value below 1 is a share of all steps.",
    "seed": "give the recipe's own `seed`.",
    "data_seed": "give the recipe's own `seed`.",
    "eval_strategy": "give `eval_steps`.",
    # Nobody could load what it pushes
    **dict.fromkeys(("push_to_hub", *(name for name in _FIELDS if name.startswith("hub_"))), _NOT_PUSHED),
    # Would break resuming
    "resume_from_checkpoint": "the same command resumes from the last checkpoint: take it out.",
    "save_only_model": "a killed run could not resume: take it out. Checkpoints hold only what trains.",
    "save_strategy": _SAVED,
    "load_best_model_at_end": "give `keep_best: true`.",
    "ignore_data_skip": _ORDER,
    "train_sampling_strategy": _ORDER,
    "dataloader_in_order": _ORDER,
    "dataloader_persistent_workers": "persistent workers do not learn which epoch begins: take it out.",
    # Would break batches
    "remove_unused_columns": "it would remove all columns before the collator reads them: take it out.",
    "parallelism_config": _BATCHES,
    "logging_nan_inf_filter": "it would log a loss that is not finite as 0.0: take it out.",
    # Neither `Trainer` nor evaluation by generation uses them
    **dict.fromkeys(("do_train", "do_eval", "do_predict", "local_rank", "per_device_eval_batch_size"), _NO_EFFECT),
}
_BATCH_SLICING = ("dispatch_batches", "split_batches")  # keys of `accelerator_config`
# Prefixes of optimizers that form their own parameter groups from the whole model.
_WHOLE_MODEL_OPTIMIZERS = ("lomo", "adalomo", "galore", "apollo")

_SET_BY_TRAINING = "training sets it: take it out."
LORA_INSTEAD: Mapping[str, str] = {
    "modules_to_save": "re-alignment sets it to Q-Former, query tokens and projection: take it out.",
    **dict.fromkeys(
        (
            *("task_type", "peft_type", "auto_mapping", "peft_version", "inference_mode"),
            *("base_model_name_or_path", "revision", "fan_in_fan_out"),
        ),
        _SET_BY_TRAINING,
    ),
}


class TrainingOptions(dict[str, Any]):
    """`training:` of a run or a stage. `location` is its file and line, for errors that come later."""

    def __init__(self, given: Mapping[str, Any] | None = None, location: str = "training") -> None:
        super().__init__(given or {})
        self.location = location


class QFormerOptions(dict[str, Any]):
    """`qformer_config:` of a composition: arguments of a `Blip2QFormerConfig`."""


class LoraOptions(dict[str, Any]):
    """`lora:` of a stage: arguments of a `LoraConfig`."""


def convert_training(found: Located, path: str) -> TrainingOptions:
    """The options given at `path`, without defaults.

    Raises:
        ValueError: a field is unknown, not allowed here, or of the wrong type. The message names file and line.
    """
    given = plain_arguments(_field_types(TrainingArguments) | OWN_FIELDS | TRAINING_RANGES, found, path, INSTEAD)
    if str(given.get("optim", "")).startswith(_WHOLE_MODEL_OPTIMIZERS):
        raise ValueError(
            f"{found.value['optim'].location}: `{join(path, 'optim')}` is {given['optim']!r}, which cannot use our "
            "learning rates per kind of parameter. Choose another, such as adamw_torch or adafactor."
        )
    if "accelerator_config" in given:
        _check_accelerator(found.value["accelerator_config"], join(path, "accelerator_config"))
    return TrainingOptions(given, found.location)


def convert_lora(found: Located, path: str) -> LoraOptions:
    """The options given at `path`, without defaults.

    Raises:
        ValueError: as in `convert_training`, or PEFT refuses the options.
    """
    given = plain_arguments(_field_types(LoraConfig) | LORA_RANGES, found, path, LORA_INSTEAD)
    for name, kind in LORA_PATTERNS.items():
        if given.get(name):
            plain_arguments(dict.fromkeys(given[name], kind), found.value[name], join(path, name), {})
    try:
        LoraConfig(**LORA_DEFAULTS | given)
    except (ValueError, TypeError, ImportError) as error:
        raise ValueError(f"{found.location}: `{path}`: {error}") from error
    return LoraOptions(given)


def convert_qformer(found: Located, path: str) -> QFormerOptions:
    """The settings of a new Q-Former given at `path`.

    Raises:
        ValueError: as in `convert_training`, or transformers refuses the settings.
    """
    known = vars(Blip2QFormerConfig)["__annotations__"]  # its own; those it inherits cannot all be resolved
    instead = {"encoder_hidden_size": "it is the width of the image encoder. Take it out."}
    given = plain_arguments(known, found, path, instead)
    try:
        Blip2QFormerConfig(**given)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{found.location}: `{path}`: {error}") from error
    return QFormerOptions(given)


def training_fields() -> set[str]:
    """What `training:` may say."""
    return (_field_types(TrainingArguments).keys() | OWN_FIELDS.keys()) - INSTEAD.keys()


def lora_fields() -> set[str]:
    """What `lora:` may say."""
    return _field_types(LoraConfig).keys() - LORA_INSTEAD.keys()


def _field_types(options: type) -> dict[str, Any]:
    hints = get_type_hints(options)
    return {field.name: hints[field.name] for field in dataclasses.fields(options)}


def _check_accelerator(found: Located, path: str) -> None:
    if not isinstance(found.value, dict):
        raise ValueError(
            f"{found.location}: `{path}`: found {found.value!r}, expected keys and values. Write them here, not in a "
            "file."
        )
    for name in _BATCH_SLICING:
        if name in found.value:
            raise ValueError(f"{found.value[name].location}: `{join(path, name)}`: {_BATCHES}")
