"""Step 2 of train.py and eval.py: the model and its processor, as a recipe or a command line names them."""

from pathlib import Path

import torch
from peft import PeftConfig, PeftModel
from torch import nn
from transformers import AutoImageProcessor, AutoTokenizer, BitsAndBytesConfig, set_seed
from transformers.utils.peft_utils import find_adapter_config_file

from modeling_mblip import MBlipForConditionalGeneration
from modeling_mblip.adapters import MBlipAdapterModel
from modeling_mblip.blip2_checkpoints import parents_to_marry
from modeling_mblip.trainable import continue_adapter
from processing_mblip import MBlipProcessor

from .peft_warnings import quiet_peft
from .recipe import ModelRecipe

Model = MBlipForConditionalGeneration | MBlipAdapterModel

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def has_bf16() -> bool:
    """Whether there is a GPU that computes in bfloat16 itself: the one rule for it in this package.

    CPUs stay with float32, and GPUs that only emulate bfloat16 too. There is no float16: T5 overflows in it.
    """
    return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)


def build_model(recipe: ModelRecipe, seed: int) -> tuple[Model, MBlipProcessor]:
    """Load the checkpoint, or marry the two parents; a fresh projection is drawn by `seed`.

    Of an adapter the base is loaded and the adapter put on it, to be trained further; or, if the recipe wants a fresh
    LoRA, merged into it.

    Raises:
        OSError: there is no such checkpoint, or an adapter's base cannot be loaded.
        ValueError: a parent is of the wrong kind, or the recipe does not suit the checkpoint; the message names it.
    """
    for name in (recipe.name_or_path, recipe.blip2, recipe.language_model):
        if name is not None:
            _check_name(name)
    set_seed(seed)
    dtype = _dtype(recipe.dtype)
    if recipe.name_or_path is not None and is_adapter(recipe.name_or_path):
        return _load_adapter(recipe.name_or_path, recipe, dtype)
    model, processor = _load(recipe, dtype)
    if recipe.random_weights:
        set_seed(seed)
        model = nn.Module.to(MBlipForConditionalGeneration(model.config), dtype).eval()
    return model, processor


def load_checkpoint(name_or_path: str) -> tuple[MBlipForConditionalGeneration, MBlipProcessor]:
    """A model to use: a checkpoint, or an adapter merged into the base it names.

    Raises:
        OSError: there is no such checkpoint, or the adapter's base cannot be loaded.
    """
    _check_name(name_or_path)
    dtype = _dtype("auto")
    if not is_adapter(name_or_path):
        return _load_whole(name_or_path, dtype)
    return _load_merged(name_or_path, dtype)


def _load_adapter(name_or_path: str, recipe: ModelRecipe, dtype: torch.dtype) -> tuple[Model, MBlipProcessor]:
    if recipe.random_weights:
        raise ValueError(
            f"`model.name_or_path` is {name_or_path}, an adapter, which is worth nothing on random weights. Take one "
            "of the two out."
        )
    if recipe.adapter == "fresh":
        return _load_merged(name_or_path, dtype)
    base, processor = _load_base(name_or_path, dtype)
    with quiet_peft():
        return continue_adapter(base, name_or_path), processor


def _load_merged(name_or_path: str, dtype: torch.dtype) -> tuple[MBlipForConditionalGeneration, MBlipProcessor]:
    base, processor = _load_base(name_or_path, dtype)
    with quiet_peft():
        merged = PeftModel.from_pretrained(base, name_or_path).merge_and_unload()
    merged.name_or_path = merged.config.name_or_path = name_or_path
    return merged.eval(), processor


def _load_base(name_or_path: str, dtype: torch.dtype) -> tuple[MBlipForConditionalGeneration, MBlipProcessor]:
    """The base that an adapter names."""
    base = PeftConfig.from_pretrained(name_or_path).base_model_name_or_path
    try:
        return _load_whole(base, dtype)
    except OSError as error:
        raise OSError(
            f"{name_or_path} is an adapter on {base}, which cannot be loaded: {error}\nStart where it was trained, or "
            "write the base's place into its adapter_config.json."
        ) from error


def is_adapter(name_or_path: str) -> bool:
    """Whether a folder or repository holds an adapter of PEFT's in place of a model."""
    return find_adapter_config_file(name_or_path) is not None


def _check_name(name_or_path: str) -> None:
    """Raise OSError for a path that leads nowhere, of which the Hub would say only that no repository is named so."""
    path = Path(name_or_path)
    if not path.exists() and (path.is_absolute() or len(path.parts) > 2):
        raise OSError(
            f"There is no folder {name_or_path}, and no name on the Hub is of this form. Paths are relative to the "
            f"working directory, {Path.cwd()}."
        )


def _load_whole(name_or_path: str, dtype: torch.dtype) -> tuple[MBlipForConditionalGeneration, MBlipProcessor]:
    """A checkpoint with its processor; one without weights, which marries its parents, has theirs."""
    if Path(name_or_path).is_dir() and not Path(name_or_path, "config.json").is_file():
        raise OSError(
            f"The folder {name_or_path} holds no config.json, so it is no model. Of a training run, give `model/` or "
            "`adapter/` in its output folder."
        )
    model = MBlipForConditionalGeneration.from_pretrained(name_or_path, dtype=dtype)
    if parents_to_marry(name_or_path) is not None:
        return model, _marry_processors(model)
    return model, MBlipProcessor.from_pretrained(name_or_path)


def _dtype(name: str) -> torch.dtype:
    return DTYPES.get(name) or (torch.bfloat16 if has_bf16() else torch.float32)


def _load(recipe: ModelRecipe, dtype: torch.dtype) -> tuple[MBlipForConditionalGeneration, MBlipProcessor]:
    if recipe.name_or_path is not None:
        if recipe.adapter is not None:
            raise ValueError(
                f"The recipe says `adapter: {recipe.adapter}`, but {recipe.name_or_path} is a whole model. Take "
                "`adapter` out."
            )
        return _load_whole(recipe.name_or_path, dtype)
    assert recipe.blip2 is not None  # a recipe names a checkpoint or both parents
    assert recipe.language_model is not None
    model = MBlipForConditionalGeneration.from_blip2_pretrained(
        recipe.blip2,
        recipe.language_model,
        projection=recipe.projection,
        quantization_config=_quantization(recipe, dtype),
        dtype=dtype,
    )
    return model, _marry_processors(model)


def _quantization(recipe: ModelRecipe, dtype: torch.dtype) -> BitsAndBytesConfig | None:
    if recipe.load_in == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True)
    if recipe.load_in == "4bit":
        return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype)
    return None


def _marry_processors(model: MBlipForConditionalGeneration) -> MBlipProcessor:
    """The image processor of a marriage's BLIP-2 with the tokenizer of its language model, in the same revisions."""
    parents = model.config.parents
    assert parents is not None  # `model` is a marriage
    side = "right" if model.config.is_encoder_decoder else "left"
    return MBlipProcessor(
        AutoImageProcessor.from_pretrained(parents["blip2"], revision=parents["blip2_revision"] or "main"),
        AutoTokenizer.from_pretrained(
            parents["language_model"], revision=parents["language_model_revision"] or "main", padding_side=side
        ),
        num_query_tokens=model.config.num_query_tokens,
        image_token_id=model.config.image_token_id,
    )
