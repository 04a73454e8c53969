"""Steps 6 and 7 of train.py: finish the model, and save model and adapter.

In the finished model, LoRA is merged into the language model, so that `from_pretrained` loads it like any other. The
adapter alone is saved beside it, in PEFT's format, with a base that others can load.
"""

import dataclasses
import logging

from peft import PeftConfig, PeftModel

from mblip.atomic_write import atomic_folder, sync_tree, write_manifest
from mblip.evaluation.recipe import LoadIn
from mblip.loading import is_adapter, is_own_checkpoint, merge
from modeling_mblip import MBlipForConditionalGeneration
from processing_mblip import MBlipProcessor

from .checkpoints import load_trained
from .divergence import check_finite
from .merge import merge_adapter
from .run_folder import CARD_FILE, Run
from .starting_model import Model, build_model
from .trainable import choose_trainable

logger = logging.getLogger(__name__)

DIVERGED = "It is not written. Lower the learning rate, or load the model in float32, and give another --output_dir."


def save_adapter(model: Model, run: Run) -> None:
    """Write `adapter/`, which holds what re-alignment trained.

    Without re-alignment, there is no adapter. If the language model has random or fully trained weights, we write none
    either: no checkpoint holds those weights, so the adapter would be loaded on others.

    The base of the adapter depends on where the run started:
    - an mBLIP checkpoint: this checkpoint;
    - an adapter whose LoRA was trained further: that adapter's base;
    - two components: `base/`, a folder without weights that composes the components when loaded;
    - a checkpoint in BLIP-2's layout, or an adapter with `adapter: fresh`: `base/`, a whole model.

    Raises:
        ValueError: a weight of the adapter is not finite.
    """
    if not isinstance(model, PeftModel):
        return
    trained = ((name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad)
    check_finite(trained, "the trained adapter", DIVERGED)
    if run.recipe.model.random_weights or any(stage.recipe.stage == "full" for stage in run.stages):
        logger.warning(
            "No adapter is written: the weights of the language model are random or fully trained, so no checkpoint "
            "can be its base. Use the finished model in `model/`, which holds all weights."
        )
        return
    model.peft_config["default"].base_model_name_or_path = _base_of(model, run)
    model.save_pretrained(str(run.folder / "adapter"))
    (run.folder / "adapter" / "README.md").unlink()  # PEFT's empty template; the model's card is in `model/`
    for folder in (run.folder / "adapter", run.folder / "base"):
        if folder.exists():
            sync_tree(folder)


def _base_of(model: PeftModel, run: Run) -> str:
    """The path of the adapter's base. Writes `base/` if no checkpoint on disk or on the Hub can be the base."""
    begun_from, base = run.recipe.model.name_or_path, run.folder / "base"
    if begun_from is None:
        composed = model.get_base_model()
        assert isinstance(composed, MBlipForConditionalGeneration)
        composed.save_composition(base)
    elif is_adapter(begun_from):
        if run.recipe.model.adapter is None:
            return str(PeftConfig.from_pretrained(begun_from).base_model_name_or_path)
        if not base.exists():
            merge_adapter(begun_from, base)
    elif is_own_checkpoint(begun_from):
        return begun_from
    else:
        MBlipForConditionalGeneration.from_pretrained(begun_from).save_pretrained(base)
    return str(base)


def finish_model(model: Model, run: Run) -> MBlipForConditionalGeneration:
    """The trained model with LoRA merged, in evaluation mode.

    LoRA cannot be merged into a quantised language model. In this case we load the model again in 16 or 32 bits, and
    load the trained weights into it.

    Raises:
        ValueError: a weight is not finite.
    """
    if run.recipe.model.load_in is not None:
        model = rebuild_model(run)
    if isinstance(model, PeftModel):
        model = merge(model, "the trained adapter")
    check_finite(model.named_parameters(), "the trained model", DIVERGED)
    return model.requires_grad_(False).eval()


def save_model(model: MBlipForConditionalGeneration, processor: MBlipProcessor, card: str, run: Run) -> None:
    """Write `model/` atomically: weights, processor and card. The run is then finished."""
    with atomic_folder(run.model_folder) as partial:
        model.save_pretrained(partial)
        processor.save_pretrained(partial)
        (partial / CARD_FILE).write_text(card, encoding="utf-8")
        write_manifest(partial, without=CARD_FILE)  # a card may be edited


def rebuild_model(run: Run, load_in: LoadIn | None = None) -> Model:
    """Load the starting model again, and load the weights of all trained stages into it.

    We need this after training in shards, and to get rid of the quantisation used in training.
    """
    model: Model
    recipe, has_tower = dataclasses.replace(run.recipe.model, load_in=load_in), run.recipe.features is None
    model, _ = build_model(recipe, run.recipe.seed, has_tower=has_tower)
    for stage in run.stages:
        if stage.weights is not None:
            model = choose_trainable(model, stage)
            load_trained(model, stage.weights)
    return model
