"""Steps 6 and 7 of train.py: the finished model, its evaluation, and the folders that are published.

The finished model holds LoRA merged into the language model, so that `from_pretrained` loads it like any other; the
adapter alone is saved beside it, in PEFT's format, on a base that can be loaded.
"""

import dataclasses
import logging
import os
import shutil

from peft import PeftConfig, PeftModel

from mblip.evaluation.recipe import LoadIn
from mblip.loading import is_adapter, is_own_checkpoint
from modeling_mblip import MBlipForConditionalGeneration
from processing_mblip import MBlipProcessor

from .checkpoints import PARTIAL, load_trained
from .merge import merge_adapter
from .run_folder import Run
from .starting_model import Model, build_model
from .trainable import choose_trainable

logger = logging.getLogger(__name__)


def save_adapter(model: Model, run: Run) -> None:
    """Write `adapter/`, which holds what re-alignment trained; nothing after a warm-up alone, and nothing on a
    language model whose weights are in no checkpoint: it would load on the wrong ones.

    Its base is the checkpoint or the adapter's base that the run began from, or `base/`: for a composition a folder
    without weights that composes the components again when it is loaded; for a checkpoint in BLIP-2's layout, and for
    an adapter that a fresh LoRA was trained on, a whole model.
    """
    if not isinstance(model, PeftModel):
        return
    if run.recipe.model.random_weights or any(stage.recipe.stage == "full" for stage in run.stages):
        logger.warning(
            "No adapter is written: the language model under it has other weights than any checkpoint, being random "
            "or fully trained. The finished model holds everything."
        )
        return
    model.peft_config["default"].base_model_name_or_path = _base_of(model, run)
    model.save_pretrained(str(run.folder / "adapter"))
    (run.folder / "adapter" / "README.md").unlink()  # PEFT's blank form; the model's own card stands in `model/`


def _base_of(model: PeftModel, run: Run) -> str:
    """The path of the adapter's base, which is written where it is not on disk or on the Hub."""
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

    A quantised language model cannot take the update in: its components are loaded again in 16 or 32 bits, and what
    was trained is put on them.
    """
    if run.recipe.model.load_in is not None:
        model = rebuild_model(run)
    merged = model.merge_and_unload() if isinstance(model, PeftModel) else model
    assert isinstance(merged, MBlipForConditionalGeneration)
    return merged.requires_grad_(False).eval()


def save_model(model: MBlipForConditionalGeneration, processor: MBlipProcessor, card: str, run: Run) -> None:
    """Write `model/`: weights, processor and card. It appears in one step, when it is complete."""
    partial = run.folder / PARTIAL / run.model_folder.name
    shutil.rmtree(partial, ignore_errors=True)
    model.save_pretrained(partial)
    processor.save_pretrained(partial)
    (partial / "README.md").write_text(card, encoding="utf-8")
    os.replace(partial, run.model_folder)
    (run.folder / PARTIAL).rmdir()


def rebuild_model(run: Run, load_in: LoadIn | None = None) -> Model:
    """The model as the trained stages left it, from where the run begins: after training in shards, and without the
    quantisation that it had while it trained."""
    model: Model
    model, _ = build_model(dataclasses.replace(run.recipe.model, load_in=load_in), run.recipe.seed)
    for stage in run.stages:
        if stage.weights is not None:
            model = choose_trainable(model, stage)
            load_trained(model, stage.weights)
    return model
