"""The seam to image encoders ("towers"): BLIP-2's ViT, or whatever else `AutoModel` builds that takes images alone.

transformers' encoders share no name for their width, image size or number of patches, and a class of your own may have
any. So we ask the tower itself: we build it on the meta device, which computes shapes and no values, and show it an
image.

Shape suffixes: I = images, P = patches, or places of a feature map, E = width of the tower, C = channels.
"""

import functools
import json
from typing import Any

import torch
from torch import nn
from transformers import AutoModel, Blip2VisionConfig, Blip2VisionModel, PreTrainedConfig, PreTrainedModel
from transformers.utils import logging

from .language_models import argument_names

logger = logging.get_logger(__name__)

IMAGE_SIZE = 224  # of towers whose configuration names none
UNFIT_TYPES = {
    "siglip2_vision_model": "this is SigLIP 2's NaFlex variant, which takes patches. Use one of fixed resolution, of "
    "type 'siglip_vision_model'",
    "vit_mae": "it hides patches at random. Load its weights as a 'vit'",
}
# What building or running a model of any code raises, if it takes other inputs than one batch of images
FAILURES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)


class NoTower(nn.Module):
    """In place of the tower of a model that was loaded without it."""


def tower_config(config: PreTrainedConfig) -> PreTrainedConfig:
    """The configuration of a tower, of which that of a whole model (CLIP, SigLIP, a BLIP-2) holds one.

    Raises:
        ValueError: `AutoModel` builds no image encoder from it, or one that takes more than images.
    """
    if isinstance(getattr(config, "vision_config", None), PreTrainedConfig):  # any kind of configuration may come in
        logger.info(f"Of the {config.model_type!r} configuration, only its `vision_config` is used.")
        config = config.vision_config
    tower_width(config)
    return config


def tower_width(config: PreTrainedConfig) -> int:
    """The width of a tower's output."""
    return config.hidden_size if isinstance(config, Blip2VisionConfig) else tower_shape(config)[1]


def image_size(config: PreTrainedConfig) -> tuple[int, int]:
    """Height and width of the images that a tower is made for. Not every configuration names them."""
    size = getattr(config, "image_size", None)
    if size is None and config.model_type == "timm_wrapper":
        size = getattr(config, "pretrained_cfg", {}).get("input_size", (3, IMAGE_SIZE, IMAGE_SIZE))[1:]
    height, width = (size or IMAGE_SIZE,) * 2 if isinstance(size, int | None) else size
    return height, width


def build_tower(config: PreTrainedConfig) -> Any:
    """A tower with random weights."""
    if isinstance(config, Blip2VisionConfig):  # AutoModel does not know it
        return Blip2VisionModel._from_config(config)
    return AutoModel.from_config(config)


def takes_flag(tower: PreTrainedModel) -> bool:
    """Whether a tower's `forward` has `interpolate_pos_encoding`. The others take any size, or their own alone."""
    return "interpolate_pos_encoding" in argument_names(type(tower))


def features_of(output: Any) -> torch.Tensor:
    """A tower's output as a sequence, (I, P, E). A feature map, (I, E, height, width), is read row by row."""
    features = output.last_hidden_state
    return features.flatten(2).transpose(1, 2) if features.ndim == 4 else features


def tower_shape(config: PreTrainedConfig, size: tuple[int, int] | None = None) -> tuple[int, int]:
    """P and E of a tower's output.

    Args:
        size: height and width of the images; None: the tower's own.

    Raises:
        ValueError: the tower takes no images of this size, or is none.
    """
    config_json = config.to_json_string(use_diff=False)
    return _probed_shape(type(config), config_json, size or image_size(config))  # type: ignore[arg-type]  # a dataclass


def idle_parameters(config: PreTrainedConfig) -> frozenset[str]:
    """The parameters of a tower that its features do not depend on, such as those of pooling heads, by name.

    A checkpoint may lack them, and they cannot train.
    """
    with torch.device("meta"), torch.enable_grad():
        tower = build_tower(config).eval()
        features_of(tower(torch.zeros(1, 3, *image_size(config), dtype=tower.dtype))).sum().backward()
    return frozenset(name for name, parameter in tower.named_parameters() if parameter.grad is None)


@functools.lru_cache(maxsize=64)
def _probed_shape(config_class: type[PreTrainedConfig], config_json: str, size: tuple[int, int]) -> tuple[int, int]:
    config = config_class.from_dict(json.loads(config_json))
    try:
        if reason := UNFIT_TYPES.get(config.model_type):
            raise ValueError(reason)
        if config_class is not Blip2VisionConfig and config_class not in AutoModel._model_mapping:
            raise ValueError("`AutoModel` builds no model from it (register your own with `AutoModel.register`)")
        with torch.device("meta"), torch.no_grad():
            tower = build_tower(config).eval()
            if "input_ids" in argument_names(type(tower)):
                raise ValueError("it takes text")
            flag = {"interpolate_pos_encoding": size != image_size(config)} if takes_flag(tower) else {}
            output = tower(torch.zeros(1, 3, *size, dtype=tower.dtype), **flag)
        shape = output.last_hidden_state.shape
        if len(shape) not in (3, 4) or 0 in shape:
            raise ValueError(f"its `last_hidden_state` has shape {tuple(shape)}")
        if len(shape) == 4 and size[0] == size[1] and shape[1] == shape[2] != shape[3]:
            raise ValueError(f"the channels of its feature map {tuple(shape)} come last")
    except FAILURES as error:
        raise ValueError(
            f"`vision_config` of type {config.model_type!r} does not encode images of {size[0]} x {size[1]}: "
            f"{str(error).strip() or repr(error)}.\nExpected an encoder of `pixel_values` (I, 3, height, width) alone "
            "that returns `last_hidden_state`, a sequence (I, P, E) or a feature map (I, E, height, width)."
        ) from error
    num_patches, width_of_tower = features_of(output).shape[1:]
    return num_patches, width_of_tower
