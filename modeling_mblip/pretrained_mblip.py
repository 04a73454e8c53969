"""What transformers must know of the model: names, capabilities, initial weights, and what stays in fp32."""

from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers import initialization as init

from .configuration_mblip import MBlipConfig
from .language_models import CACHE_NAME
from .query_tokens import QueryTokens


class MBlipPreTrainedModel(PreTrainedModel):
    """Base of the model's classes. Query tokens, Q-Former and projection train, so they stay fp32 in any precision."""

    config: MBlipConfig
    config_class = MBlipConfig
    base_model_prefix = ""
    main_input_name = "input_ids"
    input_modalities = ["image", "text"]  # noqa: RUF012 (transformers' own declarations)
    accepts_loss_kwargs = True
    supports_gradient_checkpointing = True
    _no_split_modules = ["Blip2EncoderLayer", "Blip2QFormerLayer", "Blip2VisionEmbeddings"]  # noqa: RUF012
    _skip_keys_device_placement = [CACHE_NAME]  # noqa: RUF012
    _keep_in_fp32_modules_strict = ["query_tokens", "qformer", "language_projection"]  # noqa: RUF012
    _supports_sdpa = True
    _supports_flex_attn = True
    _supports_attention_backend = True

    # The parts, as PEFT or a quantiser may have wrapped them; the language model is whatever transformers builds.
    hf_device_map: dict[str, Any]  # transformers sets it where parts lie on several devices
    vision_model: Any
    query_tokens: Any
    qformer: Any
    language_projection: Any
    language_model: Any

    @classmethod
    def is_custom_code(cls) -> bool:
        """No: weights are initialised as transformers' own models initialise theirs, wherever this file lies.

        For custom code transformers skips modules without weights of their own at loading, and with them the buffers
        that such a module fills in its children (Falcon-H1): these would hold whatever the memory held.
        """
        return False

    @property
    def image_token_id(self) -> int:
        """The id of the `<image>` token, which the configuration always has."""
        assert self.config.image_token_id is not None, "set in MBlipConfig.__post_init__"
        return self.config.image_token_id

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, QueryTokens):
            init.normal_(module.weight, mean=0.0, std=self.config.initializer_range)
