"""Step 2 of train.py: the model that a recipe starts from, and its processor."""

from torch import nn
from transformers import set_seed

from mblip.loading import (
    MBlipAdapterModel,
    Precision,
    compose_processor,
    is_adapter,
    load_base,
    load_merged,
    load_whole,
    quiet_peft,
)
from modeling_mblip import MBlipForConditionalGeneration
from modeling_mblip.checkpoint_reading import check_location
from processing_mblip import MBlipProcessor

from .divergence import check_finite
from .recipe import PARTS, ModelRecipe
from .trainable import continue_adapter

Model = MBlipForConditionalGeneration | MBlipAdapterModel


def build_model(recipe: ModelRecipe, seed: int, *, has_tower: bool = True) -> tuple[Model, MBlipProcessor]:
    """Load the checkpoint, or compose the components. `seed` determines their random weights.

    Without `has_tower`, the weights of the image encoder are not read.

    For an adapter, we load its base and the adapter, to continue its training. With `adapter: fresh`, we merge the
    adapter into its base instead.

    Raises:
        OSError: the checkpoint does not exist, or an adapter's base cannot be loaded.
        ValueError: a component has the wrong type, or the recipe does not match the checkpoint, or a weight is not
            finite. The message names it.
    """
    for name in filter(None, (getattr(recipe, part) for part in PARTS)):
        check_location(name)
    set_seed(seed)
    precision = Precision.named(recipe.dtype, recipe.load_in, has_tower=has_tower)
    if recipe.name_or_path is not None and is_adapter(recipe.name_or_path):
        model, processor = _load_adapter(recipe.name_or_path, recipe, precision)
    else:
        model, processor = _load(recipe, precision)
    if recipe.random_weights:
        set_seed(seed)
        model = nn.Module.to(MBlipForConditionalGeneration(model.config), precision.dtype).eval()
    check_finite(model.named_parameters(), "the model to start from", "Its files are broken: fetch or train it again.")
    return model, processor


def _load_adapter(name_or_path: str, recipe: ModelRecipe, precision: Precision) -> tuple[Model, MBlipProcessor]:
    if recipe.random_weights:
        raise ValueError(
            f"`model.name_or_path` is {name_or_path}, an adapter, which cannot be used with `random_weights`. Take "
            "one of the two out."
        )
    if recipe.adapter == "fresh":
        if recipe.load_in is not None:
            raise ValueError(
                f"`adapter: fresh` cannot merge {name_or_path} into a base in {recipe.load_in}. First run "
                "`mblip merge ADAPTER FOLDER`, and give that folder as `model.name_or_path`."
            )
        return load_merged(name_or_path, precision)
    base, processor = load_base(name_or_path, precision)
    with quiet_peft():
        return continue_adapter(base, name_or_path), processor


def _load(recipe: ModelRecipe, precision: Precision) -> tuple[MBlipForConditionalGeneration, MBlipProcessor]:
    if recipe.name_or_path is not None:
        if recipe.adapter is not None:
            raise ValueError(
                f"The recipe says `adapter: {recipe.adapter}`, but {recipe.name_or_path} is a whole model, not an "
                "adapter. Take `adapter` out."
            )
        return load_whole(recipe.name_or_path, precision)
    vision = recipe.vision or recipe.blip2
    assert vision is not None  # a recipe names a checkpoint or components
    assert recipe.language_model is not None
    model = MBlipForConditionalGeneration.from_sub_models_pretrained(
        vision,
        recipe.qformer or recipe.blip2,
        recipe.language_model,
        projection=recipe.projection,
        qformer_config=recipe.qformer_config,
        num_query_tokens=recipe.num_query_tokens,
        **precision.arguments(),
    )
    return model, compose_processor(model)
