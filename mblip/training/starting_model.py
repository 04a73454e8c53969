"""Step 2 of train.py and eval.py: the model and its processor, as a recipe or a command line names them."""

from pathlib import Path

from peft import PeftConfig, PeftModel
from torch import nn
from transformers import AutoImageProcessor, AutoTokenizer, set_seed
from transformers.utils.peft_utils import find_adapter_config_file

from modeling_mblip import MBlipForConditionalGeneration
from modeling_mblip.checkpoint_reading import check_place
from modeling_mblip.loading_mblip import parents_to_compose
from processing_mblip import MBlipProcessor

from .adapters import MBlipAdapterModel
from .peft_warnings import quiet_peft
from .precision import Precision
from .recipe import ModelRecipe
from .trainable import continue_adapter

Model = MBlipForConditionalGeneration | MBlipAdapterModel


def build_model(recipe: ModelRecipe, seed: int) -> tuple[Model, MBlipProcessor]:
    """Load the checkpoint, or compose the two parents; a fresh projection is drawn by `seed`.

    Of an adapter the base is loaded and the adapter put on it, to be trained further; or, if the recipe wants a fresh
    LoRA, merged into it.

    Raises:
        OSError: there is no such checkpoint, or an adapter's base cannot be loaded.
        ValueError: a parent is of the wrong kind, or the recipe does not suit the checkpoint; the message names it.
    """
    for name in (recipe.name_or_path, recipe.blip2, recipe.language_model):
        if name is not None:
            check_place(name)
    set_seed(seed)
    precision = Precision.named(recipe.dtype, recipe.load_in)
    if recipe.name_or_path is not None and is_adapter(recipe.name_or_path):
        return _load_adapter(recipe.name_or_path, recipe, precision)
    model, processor = _load(recipe, precision)
    if recipe.random_weights:
        set_seed(seed)
        model = nn.Module.to(MBlipForConditionalGeneration(model.config), precision.dtype).eval()
    return model, processor


def load_checkpoint(
    name_or_path: str, precision: Precision | None = None
) -> tuple[MBlipForConditionalGeneration, MBlipProcessor]:
    """A model to use: a checkpoint, or an adapter merged into the base it names; on a quantised base, which cannot
    take it in, it stays an adapter.

    Args:
        precision: None: what the hardware has.

    Raises:
        OSError: there is no such checkpoint, or the adapter's base cannot be loaded.
    """
    check_place(name_or_path)
    precision = precision or Precision.named()
    if not is_adapter(name_or_path):
        return _load_whole(name_or_path, precision)
    if precision.load_in is None:
        return _load_merged(name_or_path, precision)
    base, processor = _load_base(name_or_path, precision)
    base.load_adapter(name_or_path)
    base.name_or_path = base.config.name_or_path = name_or_path
    return base.eval(), processor


def _load_adapter(name_or_path: str, recipe: ModelRecipe, precision: Precision) -> tuple[Model, MBlipProcessor]:
    if recipe.random_weights:
        raise ValueError(
            f"`model.name_or_path` is {name_or_path}, an adapter, which is worth nothing on random weights. Take one "
            "of the two out."
        )
    if recipe.adapter == "fresh":
        if recipe.load_in is not None:
            raise ValueError(
                f"`adapter: fresh` merges {name_or_path} into its base, and a base in {recipe.load_in} cannot take it "
                "in. Merge it first, `python -m mblip.training.merge ADAPTER FOLDER`, and give that folder as "
                "`model.name_or_path`."
            )
        return _load_merged(name_or_path, precision)
    base, processor = _load_base(name_or_path, precision)
    with quiet_peft():
        return continue_adapter(base, name_or_path), processor


def _load_merged(name_or_path: str, precision: Precision) -> tuple[MBlipForConditionalGeneration, MBlipProcessor]:
    base, processor = _load_base(name_or_path, precision)
    with quiet_peft():
        merged = PeftModel.from_pretrained(base, name_or_path).merge_and_unload()
    merged.name_or_path = merged.config.name_or_path = name_or_path
    return merged.eval(), processor


def _load_base(name_or_path: str, precision: Precision) -> tuple[MBlipForConditionalGeneration, MBlipProcessor]:
    """The base that an adapter names."""
    base = base_of_adapter(name_or_path)
    assert base is not None  # PEFT writes it
    try:
        return _load_whole(base, precision)
    except OSError as error:
        raise OSError(
            f"{name_or_path} is an adapter on {base}, which cannot be loaded: {error}\nStart where it was trained, or "
            "write the base's place into its adapter_config.json."
        ) from error


def base_of_adapter(name_or_path: str) -> str | None:
    """The model that an adapter names as the one below it; None where the folder or repository holds no adapter."""
    return PeftConfig.from_pretrained(name_or_path).base_model_name_or_path if is_adapter(name_or_path) else None


def is_adapter(name_or_path: str) -> bool:
    """Whether a folder or repository holds an adapter of PEFT's in place of a model."""
    return find_adapter_config_file(name_or_path) is not None


def _load_whole(name_or_path: str, precision: Precision) -> tuple[MBlipForConditionalGeneration, MBlipProcessor]:
    """A checkpoint with its processor; one without weights, which composes its parents, has theirs."""
    if Path(name_or_path).is_dir() and not Path(name_or_path, "config.json").is_file():
        raise OSError(
            f"The folder {name_or_path} holds no config.json, so it is no model. Of a training run, give `model/` or "
            "`adapter/` in its output folder."
        )
    model = MBlipForConditionalGeneration.from_pretrained(name_or_path, **precision.arguments())
    if parents_to_compose(name_or_path) is not None:
        return model, _compose_processors(model)
    return model, MBlipProcessor.from_pretrained(name_or_path)


def _load(recipe: ModelRecipe, precision: Precision) -> tuple[MBlipForConditionalGeneration, MBlipProcessor]:
    if recipe.name_or_path is not None:
        if recipe.adapter is not None:
            raise ValueError(
                f"The recipe says `adapter: {recipe.adapter}`, but {recipe.name_or_path} is a whole model. Take "
                "`adapter` out."
            )
        return _load_whole(recipe.name_or_path, precision)
    assert recipe.blip2 is not None  # a recipe names a checkpoint or both parents
    assert recipe.language_model is not None
    model = MBlipForConditionalGeneration.from_blip2_pretrained(
        recipe.blip2,
        recipe.language_model,
        projection=recipe.projection,
        **precision.arguments(),
    )
    return model, _compose_processors(model)


def _compose_processors(model: MBlipForConditionalGeneration) -> MBlipProcessor:
    """The image processor of the BLIP-2 with the tokenizer of the language model, in the same revisions."""
    parents = model.config.parents
    assert parents is not None  # `model` is a composition
    side = "right" if model.config.is_encoder_decoder else "left"
    return MBlipProcessor(
        AutoImageProcessor.from_pretrained(parents["blip2"], revision=parents["blip2_revision"] or "main"),
        AutoTokenizer.from_pretrained(
            parents["language_model"], revision=parents["language_model_revision"] or "main", padding_side=side
        ),
        num_query_tokens=model.config.num_query_tokens,
        image_token_id=model.config.image_token_id,
    )
