"""The image side's weights, out of a checkpoint of BLIP-2's layout."""

import os
from typing import Any, Literal

import torch
from torch import nn
from transformers.utils import logging

from .checkpoint_reading import read_weights
from .pretrained_mblip import MBlipPreTrainedModel

logger = logging.get_logger(__name__)

Projection = Literal["random", "blip2"]

IMAGE_SIDE = ("vision_model", "qformer", "query_tokens", "language_projection")


def load_image_side(
    model: MBlipPreTrainedModel, blip2: str | os.PathLike, projection: Projection, location: dict[str, Any]
) -> None:
    """Give the image side its weights: the ViT in the language model's dtype, what trains in fp32."""
    wanted = IMAGE_SIDE if projection == "blip2" else IMAGE_SIDE[:-1]
    device = _device_beside(model.language_model)
    weights = read_weights(blip2, lambda key: key.split(".")[0] in wanted, **location)
    for name in IMAGE_SIDE:
        part = getattr(model, name)
        dtype = model.language_model.dtype if name == "vision_model" else torch.float32
        if name in wanted:
            found = {key_within(key): weight for key, weight in weights.items() if key.split(".")[0] == name}
            _load_part(part, name, {key: weight.to(dtype) for key, weight in found.items()}, blip2)
        else:
            part.to_empty(device="cpu")
            model._init_weights(part)
        part.to(device)
    if "hf_device_map" in vars(model):
        model.hf_device_map |= dict.fromkeys(IMAGE_SIDE, device.type if device.index is None else device.index)


def _device_beside(language_model: nn.Module) -> torch.device:
    """Where the image side lies: with the language model's first weights that are not offloaded."""
    devices = (parameter.device for parameter in language_model.parameters())
    return next((device for device in devices if device.type != "meta"), torch.device("cpu"))


def key_within(key: str) -> str:
    """A weight's key inside its part. BLIP-2's query tokens are a bare parameter, ours a module's `weight`."""
    return key.partition(".")[2] or "weight"


def _load_part(part: nn.Module, name: str, weights: dict[str, torch.Tensor], blip2: str | os.PathLike) -> None:
    expected = part.state_dict()
    missing = sorted(expected.keys() - weights.keys())
    if missing:
        raise ValueError(
            f"{blip2} lacks {len(missing)} of the {len(expected)} weights of `{name}`, the first being "
            f"{missing[0]!r}. Expected BLIP-2's keys; an original LAVIS checkpoint is to be converted with "
            "transformers' script first."
        )
    for key, weight in expected.items():
        if weights[key].shape != weight.shape:
            raise ValueError(
                f"`{name}.{key}` of {blip2} has shape {tuple(weights[key].shape)}, expected {tuple(weight.shape)}. "
                '`projection="blip2"` wants a language model of the same width as the BLIP-2\'s own; use "random" '
                "for any other."
            )
    unused = sorted(weights.keys() - expected.keys())
    if unused:
        logger.info(f"{len(unused)} weights of `{name}` in {blip2} have no place here, the first being {unused[0]!r}.")
    part.load_state_dict({key: weights[key] for key in expected}, assign=True)
