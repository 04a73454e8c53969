"""Where each weight of a base lies on disk, and which dtype it has once loaded: what `from_pretrained` would do, found
out without loading.

A base is a checkpoint of mBLIP's or BLIP-2's layout, or one without weights that marries two parents: then the image
side is found in the one and the language model in the other. Not shipped: no method of the model needs it.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedModel
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import WeightConverter, WeightRenaming, rename_source_key
from transformers.utils import logging

from .modeling_mblip import MBlipForConditionalGeneration
from .quantisation import IMAGE_SIDE
from .stored_tensors import StoredTensor, TensorReader, checkpoint_tensors

logger = logging.get_logger(__name__)


@dataclass(frozen=True)
class BaseWeights:
    """The weights of a base by their names in the model.

    Args:
        stored: where each lies. A tied weight stands here once, under the name of what the others are tied to.
        tied: the names of weights that are tied to each other, both sides.
        dtypes: of each weight of the model once it is loaded, those that the base lacks included.
        missing: parameters that the base lacks, and that are not tied to any it has. Those that are never stored
            (Marian's sinusoidal positions) stand nowhere.
    """

    stored: Mapping[str, StoredTensor]
    tied: frozenset[str]
    dtypes: Mapping[str, torch.dtype]
    missing: frozenset[str]


def find_base_weights(
    base: str | os.PathLike,
    skeleton: MBlipForConditionalGeneration,
    parents: Mapping[str, Any] | None,
    **location: Any,
) -> BaseWeights:
    """Find the weights of a base.

    Args:
        skeleton: the model on the meta device.
        parents: of a base without weights, see `parents_to_marry`; None for any other.
            Its dtype is the one in its configuration, that of the model it was saved from.
        location: `revision` and the like, of `base`.

    Raises:
        ValueError: a weight has another shape than in the model, or is stored in another layout.
        FileNotFoundError: there are no weights.
    """
    if parents is None:
        stored = _named(checkpoint_tensors(base, **location), skeleton)
        dtype = _as_dtype(skeleton.config.dtype) or _first_dtype(stored.values())
    else:
        stored = _married(parents, skeleton)
        of_language_model = (tensor for name, tensor in stored.items() if name.startswith("language_model."))
        dtype = _as_dtype(skeleton.config.text_config.dtype) or _first_dtype(of_language_model)
    _check_shapes(stored, skeleton, base)
    made_up = skeleton._keys_to_ignore_on_save or set()
    stored = {name: tensor for name, tensor in stored.items() if name not in made_up}
    stored, tied = _drop_tied(stored, skeleton.all_tied_weights_keys)
    parameters = [name for name, _ in skeleton.named_parameters(remove_duplicate=False)]
    found = {name for name in skeleton.state_dict() if name in stored or name in tied}
    return BaseWeights(
        stored,
        tied,
        dtypes=_dtypes(skeleton, dtype),
        missing=frozenset(name for name in parameters if name not in found and name not in made_up),
    )


def _married(parents: Mapping[str, Any], skeleton: MBlipForConditionalGeneration) -> dict[str, StoredTensor]:
    wanted = IMAGE_SIDE if parents["projection"] == "blip2" else IMAGE_SIDE[:-1]
    image_side = checkpoint_tensors(
        parents["blip2"], lambda key: key.split(".")[0] in wanted, revision=parents["blip2_revision"]
    )
    language_model = checkpoint_tensors(parents["language_model"], revision=parents["language_model_revision"])
    return _named(image_side, skeleton) | {
        f"language_model.{name}": tensor for name, tensor in _named(language_model, skeleton.language_model).items()
    }


def _named(stored: Mapping[str, StoredTensor], model: PreTrainedModel) -> dict[str, StoredTensor]:
    """The tensors under the names that transformers would load them to; what has no place in the model is left out."""
    conversions = get_model_conversion_mapping(model)
    renamings = [entry for entry in conversions if isinstance(entry, WeightRenaming)]
    converters = [entry for entry in conversions if isinstance(entry, WeightConverter)]
    expected = model.state_dict()
    named, unused = {}, []
    for key, tensor in stored.items():
        name, converter = rename_source_key(key, renamings, converters, model.base_model_prefix or None, expected)
        if converter is not None:
            raise ValueError(
                f"{tensor.path} stores {key!r} in a layout that transformers converts at loading, which merging shard "
                "by shard cannot. Load base and adapter and use PEFT's `merge_and_unload`."
            )
        if name in expected:
            named[name] = tensor
        else:
            unused.append(key)
    if unused:
        logger.info(f"{len(unused)} tensors of the base have no place in the model, the first being {unused[0]!r}.")
    return named


def _check_shapes(
    stored: Mapping[str, StoredTensor], skeleton: MBlipForConditionalGeneration, base: str | os.PathLike
) -> None:
    for name, weight in skeleton.state_dict().items():
        if name in stored and stored[name].shape != tuple(weight.shape):
            raise ValueError(
                f"`{name}` of {base} has shape {stored[name].shape} in {stored[name].path}, expected "
                f"{tuple(weight.shape)} by its configuration. The checkpoint is not whole, or quantised."
            )


def _drop_tied(
    stored: Mapping[str, StoredTensor], ties: Mapping[str, str]
) -> tuple[dict[str, StoredTensor], frozenset[str]]:
    """Leave each tied weight in once. Weights that both are there and differ are not tied, whatever the configuration
    says (mT0's head)."""
    kept, tied, reader = dict(stored), set(), TensorReader()
    for target, source in ties.items():
        if source not in stored and target in stored:
            kept[source] = stored[target]
        if target in stored and source in stored and _differ(stored[target], stored[source], reader):
            continue
        kept.pop(target, None)
        tied |= {target, source}
    reader.close()
    return kept, frozenset(tied)


def _differ(first: StoredTensor, second: StoredTensor, reader: TensorReader) -> bool:
    if first == second:
        return False
    if first.shape != second.shape:
        return True
    other = TensorReader()
    is_equal = torch.equal(reader.read(first), other.read(second))
    other.close()
    return not is_equal


def _dtypes(skeleton: MBlipForConditionalGeneration, dtype: torch.dtype) -> dict[str, torch.dtype]:
    exceptions = skeleton._get_dtype_plan(dtype)
    return {
        name: next((exceptions[part] for part in name.split(".") if part in exceptions), dtype)
        for name in skeleton.state_dict()
    }


def _as_dtype(said: str | torch.dtype | None) -> torch.dtype | None:
    return getattr(torch, said) if isinstance(said, str) else said


def _first_dtype(stored: Iterable[StoredTensor]) -> torch.dtype:
    return next(tensor.dtype for tensor in stored if tensor.dtype.is_floating_point)
