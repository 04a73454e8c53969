"""A new marriage: ViT, Q-Former and query tokens of a BLIP-2, and a language model of its own.

Of the BLIP-2 checkpoint only its image side is read, never its language model. What came from where is logged.
"""

import copy
import logging as logging_of_python
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from transformers import AutoConfig, PreTrainedConfig, PreTrainedModel
from transformers.utils import logging

from .checkpoint_reading import check_place, has_weights
from .configuration_mblip import LOCATION_ARGUMENTS, MBlipConfig, image_token_id_of_tokenizer
from .image_side_weights import Projection, load_image_side
from .language_models import text_model_class
from .pretrained_mblip import MBlipPreTrainedModel
from .quantisation import adopt_quantisation, prepare_quantised, sparing_the_image_side

logger = logging.get_logger(__name__)

Married = TypeVar("Married", bound=MBlipPreTrainedModel)


def marry(
    model_class: type[Married],
    blip2: str | os.PathLike,
    language_model: str | os.PathLike,
    *,
    projection: Projection,
    quantization_config: Any,
    dtype: torch.dtype | str | None,
    blip2_revision: str | None,
    language_model_revision: str | None,
    **loading: Any,
) -> Married:
    """The body of `MBlipForConditionalGeneration.from_blip2_pretrained`; see there."""
    location = {name: value for name, value in loading.items() if name in LOCATION_ARGUMENTS}
    _check_parents(blip2, language_model, projection)
    text_model = _load_language_model(
        language_model, quantization_config, dtype, location | {"revision": language_model_revision} | loading
    )
    config = marriage_config(
        blip2,
        language_model,
        text_config=_unquantised(text_model.config),
        projection=projection,
        blip2_revision=blip2_revision,
        language_model_revision=language_model_revision,
        **location,
    )
    model = _assemble(model_class, config, text_model)
    load_image_side(model, blip2, projection, location | {"revision": blip2_revision})
    logger.info(
        f"ViT, Q-Former and query tokens come from {blip2}, the language model from {language_model}, the projection "
        f"is {'fresh' if projection == 'random' else 'that of ' + os.fspath(blip2)}; `<image>` is "
        f"{config.image_token_id}."
    )
    prepare_quantised(model)
    return model.eval()


def marriage_config(
    blip2: str | os.PathLike,
    language_model: str | os.PathLike,
    *,
    text_config: PreTrainedConfig,
    projection: Projection,
    blip2_revision: str | None,
    language_model_revision: str | None,
    **location: Any,
) -> MBlipConfig:
    """The configuration of a marriage, which names both parents; no weights are read.

    Raises:
        ValueError: `blip2` is no checkpoint of BLIP-2's layout, or there is no such `projection`.
        FileNotFoundError: a parent is a folder that is not there.
    """
    _check_parents(blip2, language_model, projection)
    text_location = location | {"revision": language_model_revision}
    return _read_image_config(
        blip2,
        location | {"revision": blip2_revision},
        text_config=text_config,
        image_token_id=image_token_id_of_tokenizer(language_model, **text_location),
        parents={
            "blip2": os.fspath(blip2),
            "blip2_revision": blip2_revision,
            "language_model": os.fspath(language_model),
            "language_model_revision": language_model_revision,
            "projection": projection,
        },
    )


def parents_to_marry(name_or_path: str | os.PathLike, **location: Any) -> dict[str, Any] | None:
    """The arguments of `marry` that a folder without weights names in its configuration; None for any other
    checkpoint.
    """
    config_dict, _ = PreTrainedConfig.get_config_dict(name_or_path, **location)
    parents = config_dict.get("parents")
    return None if parents is None or has_weights(name_or_path, **location) else parents


def _check_parents(blip2: str | os.PathLike, language_model: str | os.PathLike, projection: str) -> None:
    for parent in (blip2, language_model):
        check_place(parent)
    if projection not in ("random", "blip2"):
        raise ValueError(f'`projection` is {projection!r}, expected "random" or "blip2".')


def _load_language_model(
    name_or_path: str | os.PathLike, quantization_config: Any, dtype: Any, loading: dict[str, Any]
) -> PreTrainedModel:
    text_config = AutoConfig.from_pretrained(
        name_or_path, **{name: value for name, value in loading.items() if name in LOCATION_ARGUMENTS}
    )
    auto_class = text_model_class(text_config)
    if type(text_config) not in auto_class._model_mapping and not hasattr(text_config, "auto_map"):
        raise ValueError(
            f"{name_or_path} is a checkpoint of type {text_config.model_type!r}, expected a language model that "
            f"{auto_class.__name__} loads. Is it the BLIP-2, which goes first?"
        )
    if quantization_config is not None:
        quantization_config = sparing_the_image_side(quantization_config, text_config)
        loading = loading | {"quantization_config": quantization_config}
    with _quiet_about_ties():
        return auto_class.from_pretrained(name_or_path, dtype=dtype or "auto", **loading)


@contextmanager
def _quiet_about_ties() -> Iterator[None]:
    """Hold back transformers' advice to set `tie_word_embeddings=False` for an untied head: mT5 cannot take it."""

    def is_other(record: logging_of_python.LogRecord) -> bool:
        return not record.getMessage().startswith("The tied weights mapping and config for this model specifies")

    upstream = logging_of_python.getLogger("transformers.modeling_utils")
    upstream.addFilter(is_other)
    try:
        yield
    finally:
        upstream.removeFilter(is_other)


def _unquantised(config: PreTrainedConfig) -> PreTrainedConfig:
    """A copy of a language model's configuration as a part: the whole says what is quantised, and where parts came
    from is not the language model's own.
    """
    config = copy.deepcopy(config)
    config.name_or_path = ""
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    return config


def _read_image_config(blip2: str | os.PathLike, location: dict[str, Any], **changes: Any) -> MBlipConfig:
    config_dict, _ = PreTrainedConfig.get_config_dict(blip2, **location)
    if config_dict.get("model_type") not in ("blip-2", MBlipConfig.model_type):
        raise ValueError(
            f"{blip2} is a checkpoint of type {config_dict.get('model_type')!r}, expected BLIP-2's layout ('blip-2' "
            "or 'mblip')."
        )
    parts = {
        name: config_dict[name]
        for name in ("vision_config", "qformer_config", "num_query_tokens")
        if name in config_dict
    }
    return MBlipConfig(**parts, **changes)


def _assemble(model_class: type[Married], config: MBlipConfig, text_model: PreTrainedModel) -> Married:
    """A model around a loaded language model, its image side still without weights."""
    with torch.device("meta"):
        model = model_class(config)
    model.language_model = text_model
    model.all_tied_weights_keys = {
        f"language_model.{target}": f"language_model.{source}"
        for target, source in text_model.all_tied_weights_keys.items()
    }
    model.generation_config = copy.deepcopy(text_model.generation_config)
    model.config.dtype = text_model.dtype
    if (device_map := vars(text_model).get("hf_device_map")) is not None:
        # Spread over devices or offloaded: saving and training ask for it.
        model.hf_device_map = {f"language_model.{name}".removesuffix("."): at for name, at in device_map.items()}
    adopt_quantisation(model, text_model)
    return model
