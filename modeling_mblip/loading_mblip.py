"""Where weights come from: one checkpoint, or two parents married."""

import os
from typing import Any, Self

import torch

from .blip2_checkpoints import Projection, marry, parents_to_marry
from .configuration_mblip import LOCATION_ARGUMENTS
from .pretrained_mblip import MBlipPreTrainedModel


class LoadingMixin(MBlipPreTrainedModel):
    """Loading and what undoes it, for `MBlipForConditionalGeneration`."""

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | os.PathLike | None, *model_args: Any, **kwargs: Any
    ) -> Self:
        """Load a checkpoint of mBLIP's or BLIP-2's layout, as `PreTrainedModel.from_pretrained`.

        A folder without weights, whose configuration names two `parents`, is loaded by marrying them again (see
        `save_marriage`).
        """
        location = {name: kwargs[name] for name in LOCATION_ARGUMENTS if kwargs.get(name) is not None}
        if pretrained_model_name_or_path is None:  # transformers: a `config` and a `state_dict` come instead
            return super().from_pretrained(None, *model_args, **kwargs)
        parents = parents_to_marry(pretrained_model_name_or_path, **location)
        if parents is None:
            return super().from_pretrained(pretrained_model_name_or_path, *model_args, **kwargs)
        kwargs.pop("revision", None)
        model = cls.from_blip2_pretrained(**parents, **kwargs)
        model.name_or_path = model.config.name_or_path = os.fspath(pretrained_model_name_or_path)
        return model

    @classmethod
    def from_blip2_pretrained(
        cls,
        blip2: str | os.PathLike,
        language_model: str | os.PathLike,
        *,
        projection: Projection = "random",
        quantization_config: Any = None,
        dtype: torch.dtype | str | None = None,
        blip2_revision: str | None = None,
        language_model_revision: str | None = None,
        **loading: Any,
    ) -> Self:
        """Marry the image side of a BLIP-2 to a language model of its own.

        Args:
            blip2: a checkpoint of BLIP-2's layout. Only the shards with its ViT, Q-Former, query tokens and projection
                are opened.
            language_model: any sequence-to-sequence or causal language model of transformers.
            projection: "random", or "blip2" to keep the BLIP-2's, which wants a language model as wide as its own.
            quantization_config: concerns the language model alone, its head spared.
            dtype: of ViT and language model; None: as the language model's checkpoint has it. Query tokens, Q-Former
                and projection are fp32.
            loading: further arguments of `from_pretrained` for the language model, such as `device_map` or
                `attn_implementation`.

        Raises:
            ValueError: the BLIP-2 lacks weights, or the projection does not fit.
        """
        return marry(
            cls,
            blip2,
            language_model,
            projection=projection,
            quantization_config=quantization_config,
            dtype=dtype,
            blip2_revision=blip2_revision,
            language_model_revision=language_model_revision,
            **loading,
        )

    def save_marriage(self, save_directory: str | os.PathLike) -> None:
        """Write a folder without weights that `from_pretrained` loads by marrying the same parents: a base for
        adapters.

        A random projection comes out otherwise each time, so the adapter must hold the projection, as
        `modules_to_save` does.

        Raises:
            ValueError: this model was not made by `from_blip2_pretrained`.
        """
        if self.config.parents is None:
            raise ValueError(
                "This model names no parents: it was not made by `from_blip2_pretrained`. Use `save_pretrained`."
            )
        self.config.save_pretrained(save_directory)
        self.generation_config.save_pretrained(save_directory)
