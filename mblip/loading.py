"""Loading models and adapters in a given precision, for training, evaluation, demo and serving.

Parameters that train are always float32. ViT and language model are bfloat16 if the hardware supports it, else
float32. We do not offer float16, because T5 and models derived from it overflow in it.

A PEFT adapter holds what re-alignment trained, and works only on the weights it was trained on. PEFT records the name
of the model in memory. This may be empty, or a folder in BLIP-2's layout. For the latter, transformers would build its
own BLIP-2 class and ignore the trained query tokens. `check_base` refuses both.
"""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import torch
from huggingface_hub import ResolvedRevision
from peft import PeftConfig, PeftModel
from torch import nn
from transformers import AutoImageProcessor, AutoTokenizer, BitsAndBytesConfig, PreTrainedConfig
from transformers.utils.hub import resolve_revision
from transformers.utils.peft_utils import find_adapter_config_file

from mblip.evaluation.recipe import DtypeName, LoadIn
from modeling_mblip import MBlipForConditionalGeneration, loading_mblip
from modeling_mblip.checkpoint_reading import check_location, has_weights, weight_files
from modeling_mblip.configuration_mblip import MBlipConfig
from modeling_mblip.loading_mblip import Components, check_adapters_hold_all, components_to_compose
from processing_mblip import MBlipProcessor

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Precision:
    """The precision of a model.

    Args:
        dtype: of ViT and language model; "auto": as they are stored.
        load_in: how the language model is quantised; None: not at all.
        has_tower: whether the image encoder is loaded. A model that gets features of images does without.
    """

    dtype: torch.dtype | Literal["auto"]
    load_in: LoadIn | None = None
    has_tower: bool = True

    @classmethod
    def named(cls, dtype: DtypeName = "auto", load_in: LoadIn | None = None, *, has_tower: bool = True) -> Self:
        """The precision that a recipe names. "auto" is bfloat16 if the hardware supports it, else float32."""
        return cls(DTYPES.get(dtype) or (torch.bfloat16 if has_bf16() else torch.float32), load_in, has_tower)

    def arguments(self) -> dict[str, Any]:
        """The precision as arguments of `from_pretrained` or `from_sub_models_pretrained`."""
        return {"dtype": self.dtype, "quantization_config": self._quantization(), "has_tower": self.has_tower}

    def _quantization(self) -> BitsAndBytesConfig | None:
        if self.load_in == "8bit":
            return BitsAndBytesConfig(load_in_8bit=True)
        if self.load_in == "4bit":
            return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=self.dtype)
        return None


def has_bf16() -> bool:
    """Whether there is a GPU with native bfloat16. CPUs, and GPUs that only emulate it, do not count."""
    return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)


def load_checkpoint(
    name_or_path: str, precision: Precision | None = None
) -> tuple[MBlipForConditionalGeneration, MBlipProcessor]:
    """Load a model for inference: a checkpoint, or an adapter merged into its base.

    A quantised base cannot be merged, so there the adapter stays separate.

    Args:
        precision: None: "auto", see `Precision.named`.

    Raises:
        OSError: the checkpoint does not exist, or the adapter's base cannot be loaded.
    """
    check_location(name_or_path)
    precision = precision or Precision.named()
    if not is_adapter(name_or_path):
        return load_whole(name_or_path, precision)
    if precision.load_in is None:
        return load_merged(name_or_path, precision)
    base, processor = load_base(name_or_path, precision)
    base.load_adapter(name_or_path)
    base.name_or_path = base.config.name_or_path = name_or_path
    return base.eval(), processor


def without_adapter(model: nn.Module) -> MBlipForConditionalGeneration:
    """A model, or the one inside its adapter."""
    bare = model.get_base_model() if isinstance(model, PeftModel) else model
    assert isinstance(bare, MBlipForConditionalGeneration)
    return bare


def load_on_device(
    name_or_path: str, precision: Precision | None = None, device: str | None = None
) -> tuple[MBlipForConditionalGeneration, MBlipProcessor]:
    """`load_checkpoint`, and the model on a device. None: the GPU if there is one, else the CPU."""
    model, processor = load_checkpoint(name_or_path, precision)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    return nn.Module.to(model, device), processor  # transformers' own `to` refuses a quantised model


def load_merged(name_or_path: str, precision: Precision) -> tuple[MBlipForConditionalGeneration, MBlipProcessor]:
    """Load an adapter merged into its base."""
    base, processor = load_base(name_or_path, precision)
    with quiet_peft():
        merged = merge(PeftModel.from_pretrained(base, name_or_path), name_or_path)
    merged.name_or_path = merged.config.name_or_path = name_or_path
    return merged.eval(), processor


def merge(adapted: PeftModel, adapter: str) -> MBlipForConditionalGeneration:
    """Merge an adapter into its base, in place. `adapter` is its name, for messages.

    Raises:
        ValueError: the adapter changes tied weights. Merging would change both, or saving would lose the update.
    """
    model = without_adapter(adapted)
    ties, weights = model.all_tied_weights_keys, dict(model.named_parameters(remove_duplicate=False))
    if changed := sorted({*ties, *ties.values()} - weights.keys()):  # PEFT renames the weights it wraps
        raise ValueError(
            f"{adapter} changes {changed[0]!r}, which its base shares with other layers, so merging would change "
            "them, too. Train an adapter without the head and the embeddings."
        )
    merged = adapted.merge_and_unload()
    assert isinstance(merged, MBlipForConditionalGeneration)
    return merged


def load_base(name_or_path: str, precision: Precision) -> tuple[MBlipForConditionalGeneration, MBlipProcessor]:
    """Load the base that an adapter names.

    Raises:
        OSError: the base cannot be loaded. The message names adapter and base.
    """
    base = base_of_adapter(name_or_path)
    assert base is not None  # PEFT writes it
    try:
        check_location(base)
        return load_whole(base, precision)
    except OSError as error:
        raise OSError(
            f"The base {base} of the adapter {name_or_path} cannot be loaded: {error}\nRun in the folder in which it "
            "was trained, or write the base's path into adapter_config.json."
        ) from error


def base_of_adapter(name_or_path: str) -> str | None:
    """The base that an adapter names; None if the folder or repository holds no adapter."""
    return PeftConfig.from_pretrained(name_or_path).base_model_name_or_path if is_adapter(name_or_path) else None


def is_adapter(name_or_path: str) -> bool:
    """Whether a folder or repository holds a PEFT adapter."""
    return find_adapter_config_file(name_or_path) is not None


def load_whole(name_or_path: str, precision: Precision) -> tuple[MBlipForConditionalGeneration, MBlipProcessor]:
    """Load a checkpoint and its processor. For a folder without weights, compose both from the components."""
    if Path(name_or_path).is_dir() and not Path(name_or_path, "config.json").is_file():
        raise OSError(
            f"The folder {name_or_path} holds no config.json, expected a model. For a training run, give `model/` or "
            "`adapter/` in its output folder."
        )
    model = MBlipForConditionalGeneration.from_pretrained(name_or_path, **precision.arguments())
    commit = resolve_revision(name_or_path)  # for the record of an evaluation: configurations no longer hold it
    model.config._commit_hash = commit.resolved if isinstance(commit, ResolvedRevision) else None
    if components_to_compose(name_or_path) is not None:
        return model, compose_processor(model)
    return model, MBlipProcessor.from_pretrained(name_or_path)


def load_tower(model: MBlipForConditionalGeneration, dtype: torch.dtype) -> Any:
    """The image encoder of a model that was loaded without it, as it is at the source of the model's weights."""
    name, revision = _source_of_tower(model)
    return loading_mblip.load_tower(name, model.config, dtype, revision=revision)


def tower_files(model: MBlipForConditionalGeneration) -> list[list[str | int]]:
    """Path, size and time of the files that hold the weights of a model's image encoder: if equal, so are the weights.

    Times alone do not tell: some systems give all files the same.
    """
    name, revision = _source_of_tower(model)
    paths = [os.path.realpath(path) for path in weight_files(name, revision=revision)]
    return [[path, os.stat(path).st_size, os.stat(path).st_mtime_ns] for path in paths]


def _source_of_tower(model: MBlipForConditionalGeneration) -> tuple[str, str | None]:
    """Name and revision of the checkpoint that a model's image encoder comes from."""
    if model.config.parents is not None:
        components = Components.of(model.config.parents)
        return components.vision, components.vision_revision
    name = str(model.name_or_path)
    return base_of_adapter(name) or name, None


def compose_processor(model: MBlipForConditionalGeneration) -> MBlipProcessor:
    """Combine the image encoder's image processor and the language model's tokenizer, in the revisions of the
    composition.
    """
    assert model.config.parents is not None  # `model` is a composition
    components = Components.of(model.config.parents)
    side = "right" if model.config.is_encoder_decoder else "left"
    return MBlipProcessor(
        AutoImageProcessor.from_pretrained(components.vision, revision=components.vision_revision or "main"),
        AutoTokenizer.from_pretrained(
            components.language_model, revision=components.language_model_revision or "main", padding_side=side
        ),
        num_query_tokens=model.config.num_query_tokens,
        image_token_id=model.config.image_token_id,
    )


class MBlipAdapterModel(PeftModel):
    """An `MBlipForConditionalGeneration` with LoRA and a trained image side. `set_trainable` makes it.

    `save_pretrained` checks the base, because train.py, a plain Trainer and a notebook all save with it.
    `PeftModel.from_pretrained` returns PEFT's own class, which does not. Call `check_base` yourself before you save
    that.
    """

    def save_pretrained(
        self,
        save_directory: str | os.PathLike,
        safe_serialization: bool = True,
        selected_adapters: list[str] | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        """Save the adapters, as in PEFT.

        Raises:
            ValueError: the base of an adapter cannot be loaded, see `check_base`, or parameters of the base train,
                which no adapter holds.
        """
        tuner: Any = self.base_model
        check_adapters_hold_all(self, self.peft_config.values(), tuner.prefix)
        for name in self.peft_config if selected_adapters is None else selected_adapters:
            check_base(self.peft_config[name].base_model_name_or_path, self.peft_config[name].revision)
        super().save_pretrained(os.fspath(save_directory), safe_serialization, selected_adapters, *args, **kwargs)


def is_own_checkpoint(name_or_path: str, revision: str | None = None) -> bool:
    """Whether a checkpoint has the type "mblip", as the base of an adapter must, and not "blip-2"."""
    config, _ = PreTrainedConfig.get_config_dict(name_or_path, revision=revision)
    return config.get("model_type") == MBlipConfig.model_type


def check_base(name_or_path: str | None, revision: str | None = None) -> None:
    """Refuse a base on which others could not load an adapter.

    Raises:
        ValueError: the base has no name, cannot be found, is not of type "mblip", or has neither weights nor
            components.
    """
    if not name_or_path:
        raise ValueError(
            "The adapter's base has no name: it was made in memory. Save it with `save_pretrained` or "
            '`save_composition`, then set `model.peft_config["default"].base_model_name_or_path = folder`.'
        )
    try:
        config, _ = PreTrainedConfig.get_config_dict(name_or_path, revision=revision)
    except OSError as error:
        raise ValueError(f"The adapter's base {name_or_path} cannot be loaded: {error}") from error
    if config.get("model_type") != MBlipConfig.model_type:
        raise ValueError(
            f"The adapter's base {name_or_path} is of type {config.get('model_type')!r}, expected "
            f"{MBlipConfig.model_type!r}. Convert it with `MBlipForConditionalGeneration.from_pretrained("
            f'"{name_or_path}").save_pretrained(folder)`, and name that folder as the base.'
        )
    is_composition = components_to_compose(name_or_path, revision=revision) is not None
    if not is_composition and not has_weights(name_or_path, revision=revision):
        raise ValueError(
            f"The adapter's base {name_or_path} holds no weights and names no components. Save it with "
            "`save_pretrained` or `save_composition`."
        )


@contextmanager
def quiet_peft() -> Iterator[None]:
    """Silence a warning: peft 0.21 reads an attribute that transformers 5.23 has renamed."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        yield
