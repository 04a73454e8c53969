"""Tiny image encoders of other kinds than BLIP-2's ViT, and one of the user's own, for images of 32 x 32."""

from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

from tests.tiny import tiny_batch

IMAGE_SIZE = 32
_VIT: dict[str, Any] = {
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": IMAGE_SIZE,
    "patch_size": 16,
    "initializer_range": 0.2,
}
_STAGES = {"hidden_sizes": [8, 12, 16, 20], "depths": [1, 1, 1, 1], "image_size": IMAGE_SIZE, "initializer_range": 0.2}
# SigLIP 2 of fixed resolution is of SigLIP's type. The name is the `model_type`.
TOWERS: dict[str, dict[str, Any]] = {
    "siglip_vision_model": _VIT,
    "clip_vision_model": _VIT,
    "dinov2": _VIT | {"mlp_ratio": 2},
    "dinov3_vit": _VIT | {"num_register_tokens": 2},
    "dinov3_convnext": _STAGES,
    "convnext": _STAGES,
    "own_tower": {"width": 20},
}
OTHER_TOWERS: dict[str, dict[str, Any]] = {
    "vit": _VIT,
    "deit": _VIT,
    "beit": _VIT,
    "data2vec-vision": _VIT,
    "dinov2_with_registers": _VIT | {"mlp_ratio": 2, "num_register_tokens": 2},
    "ijepa": _VIT,
    "aimv2_vision_model": _VIT,
    "swin": {
        "embed_dim": 10,
        "depths": [1, 1],
        "num_heads": [1, 2],
        "image_size": 32,
        "patch_size": 7,
        "window_size": 2,
    },
    "resnet": {"embedding_size": 8, "hidden_sizes": [8, 20], "depths": [1, 1], "layer_type": "basic"},
    "regnet": {"embedding_size": 8, "hidden_sizes": [8, 20], "depths": [1, 1], "groups_width": 4},
    "mobilenet_v2": {"depth_multiplier": 0.1, "image_size": 32},
    "pvt_v2": {
        "hidden_sizes": [8, 8, 8, 20],
        "num_attention_heads": [1, 1, 1, 1],
        "depths": [1] * 4,
        "image_size": 32,
    },
}


class OwnTowerConfig(PreTrainedConfig):
    """Without `hidden_size` and `image_size`, as a configuration of one's own may be."""

    model_type = "own_tower"

    def __init__(self, width: int = 8, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.width = width


class OwnTower(PreTrainedModel):
    """A convolution, whose feature map is the output."""

    config_class = OwnTowerConfig

    def __init__(self, config: OwnTowerConfig) -> None:
        super().__init__(config)
        self.stem = nn.Conv2d(3, config.width, 8, stride=8)
        self.norm = nn.BatchNorm2d(config.width)
        self.post_init()

    def forward(self, pixel_values: torch.Tensor) -> BaseModelOutput:
        return BaseModelOutput(last_hidden_state=self.norm(self.stem(pixel_values)).relu())


AutoConfig.register("own_tower", OwnTowerConfig, exist_ok=True)
AutoModel.register(OwnTowerConfig, OwnTower, exist_ok=True)


def tiny_tower_config(name: str) -> PreTrainedConfig:
    """The configuration of a tower of `TOWERS` or `OTHER_TOWERS`."""
    return AutoConfig.for_model(name, **(TOWERS | OTHER_TOWERS)[name])


def tower_batch(family: str = "mt5", batch_size: int = 3, seed: int = 1) -> dict[str, torch.Tensor]:
    """`tiny_batch`, with images of these towers' size."""
    images = torch.randn(batch_size, 3, IMAGE_SIZE, IMAGE_SIZE, generator=torch.Generator().manual_seed(seed + 1))
    return tiny_batch(family, batch_size, seed) | {"pixel_values": images}
