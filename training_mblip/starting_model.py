"""Step 2 of train.py: the model and its processor, as a recipe names them, before anything is trained."""

import torch
from torch import nn
from transformers import AutoImageProcessor, AutoTokenizer, BitsAndBytesConfig, set_seed

from modeling_mblip import MBlipForConditionalGeneration
from processing_mblip import MBlipProcessor

from .recipe import ModelRecipe

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def has_bf16() -> bool:
    """Whether there is a GPU that computes in bfloat16 itself: the one rule for it in this package.

    CPUs stay with float32, and GPUs that only emulate bfloat16 too. There is no float16: T5 overflows in it.
    """
    return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)


def build_model(recipe: ModelRecipe, seed: int) -> tuple[MBlipForConditionalGeneration, MBlipProcessor]:
    """Load the checkpoint, or marry the two parents; a fresh projection is drawn by `seed`.

    Raises:
        OSError: there is no such checkpoint.
        ValueError: a parent is of the wrong kind; the message names it.
    """
    set_seed(seed)
    dtype = DTYPES.get(recipe.dtype) or (torch.bfloat16 if has_bf16() else torch.float32)
    model, processor = _load(recipe, dtype)
    if recipe.random_weights:
        set_seed(seed)
        model = nn.Module.to(MBlipForConditionalGeneration(model.config), dtype).eval()
    return model, processor


def _load(recipe: ModelRecipe, dtype: torch.dtype) -> tuple[MBlipForConditionalGeneration, MBlipProcessor]:
    if recipe.name_or_path is not None:
        model = MBlipForConditionalGeneration.from_pretrained(recipe.name_or_path, dtype=dtype)
        return model, MBlipProcessor.from_pretrained(recipe.name_or_path)
    assert recipe.blip2 is not None  # a recipe names a checkpoint or both parents
    assert recipe.language_model is not None
    model = MBlipForConditionalGeneration.from_blip2_pretrained(
        recipe.blip2,
        recipe.language_model,
        projection=recipe.projection,
        quantization_config=_quantization(recipe, dtype),
        dtype=dtype,
    )
    return model, _marry_processors(recipe.blip2, recipe.language_model, model)


def _quantization(recipe: ModelRecipe, dtype: torch.dtype) -> BitsAndBytesConfig | None:
    if recipe.load_in == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True)
    if recipe.load_in == "4bit":
        return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype)
    return None


def _marry_processors(blip2: str, language_model: str, model: MBlipForConditionalGeneration) -> MBlipProcessor:
    """BLIP-2's image processor with the language model's tokenizer."""
    side = "right" if model.config.is_encoder_decoder else "left"
    return MBlipProcessor(
        AutoImageProcessor.from_pretrained(blip2),
        AutoTokenizer.from_pretrained(language_model, padding_side=side),
        num_query_tokens=model.config.num_query_tokens,
        image_token_id=model.config.image_token_id,
    )
