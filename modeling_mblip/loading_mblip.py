"""Where weights come from: one checkpoint, two parents married, or either of them with an adapter on it."""

import json
import os
from typing import Any, NamedTuple, Self

import torch
from transformers.utils.peft_utils import find_adapter_config_file

from .blip2_checkpoints import marry, parents_to_marry
from .checkpoint_reading import check_place
from .configuration_mblip import LOCATION_ARGUMENTS, MBlipConfig
from .image_side_weights import Projection
from .pretrained_mblip import MBlipPreTrainedModel
from .quantisation import prepare_quantised, sparing_the_image_side


class Location(NamedTuple):
    """A model on disk or on the Hub, and the adapter on it, if that was asked for."""

    base: str | os.PathLike
    revision: str | None
    adapter: str | os.PathLike | None


class LoadingMixin(MBlipPreTrainedModel):
    """Loading and what undoes it, for `MBlipForConditionalGeneration`."""

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | os.PathLike | None, *model_args: Any, **kwargs: Any
    ) -> Self:
        """Load a checkpoint of mBLIP's or BLIP-2's layout, as `PreTrainedModel.from_pretrained`.

        A folder without weights, whose configuration names two `parents`, is loaded by marrying them again (see
        `save_marriage`). An adapter of PEFT's is put on the base it names. A `quantization_config` concerns the
        language model alone, its head spared.
        """
        if pretrained_model_name_or_path is None:  # transformers: a `config` and a `state_dict` come instead
            return super().from_pretrained(None, *model_args, **kwargs)
        found = _find_adapter(pretrained_model_name_or_path, kwargs)
        location = {name: kwargs[name] for name in LOCATION_ARGUMENTS if kwargs.get(name) is not None}
        parents = parents_to_marry(found.base, **(location | {"revision": found.revision}))
        if parents is None:
            if kwargs.get("quantization_config") is not None:
                config = MBlipConfig.from_pretrained(found.base, **(location | {"revision": found.revision or "main"}))
                kwargs["quantization_config"] = sparing_the_image_side(
                    kwargs["quantization_config"], config.text_config
                )
            loaded = super().from_pretrained(pretrained_model_name_or_path, *model_args, **kwargs)
            prepare_quantised(loaded[0] if isinstance(loaded, tuple) else loaded)  # a tuple with `output_loading_info`
            return loaded
        if kwargs.pop("output_loading_info", False):
            raise ValueError(
                f"{found.base} holds no weights, so there is no `output_loading_info` of it. Leave it out."
            )
        # What AutoModel read of this folder, and what concerns the adapter: none of it is the language model's.
        adapter_kwargs, adapter_name = kwargs.pop("adapter_kwargs", None), kwargs.pop("adapter_name", "default")
        for name in ("config", "revision"):
            kwargs.pop(name, None)
        try:
            model = cls.from_blip2_pretrained(**parents, **kwargs)
        except OSError as error:
            raise OSError(
                f"{found.base} holds no weights: it marries {parents['blip2']} and {parents['language_model']}. One "
                f"of the two cannot be loaded: {error}"
            ) from error
        model.name_or_path = model.config.name_or_path = os.fspath(found.base)
        if found.adapter is not None:
            own = {name: value for name, value in (adapter_kwargs or {}).items() if name != "_adapter_model_path"}
            model.load_adapter(os.fspath(found.adapter), adapter_name=adapter_name, adapter_kwargs=location | own)
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

    def load_adapter(self, *args: Any, **kwargs: Any) -> Any:
        """As in transformers.

        Raises:
            ValueError: a part of the adapter stays as it was made up, because it is not under the name that
                transformers looks for. transformers itself only reports it, and the model answers otherwise.
        """
        info = super().load_adapter(*args, **kwargs)
        name = kwargs.get("adapter_name") or (args[1] if len(args) > 1 else None) or "default"
        if missing := sorted(key for key in info.missing_keys if name in key.split(".")):
            raise ValueError(
                f"transformers does not find {len(missing)} weights of the adapter, the first being {missing[0]!r}, "
                "as happens to DoRA's. Load it with `PeftModel.from_pretrained(base, adapter)`."
            )
        return info

    def enable_adapters(self) -> None:
        """As in transformers, which turns LoRA on again and leaves the base's image side in place of the adapter's."""
        super().enable_adapters()
        for module in self.modules():
            if hasattr(module, "modules_to_save"):
                module.enable_adapters(True)  # type: ignore[operator]  # a wrapper of PEFT's

    def save_pretrained(self, save_directory: str | os.PathLike, *args: Any, **kwargs: Any) -> None:
        """As `PreTrainedModel.save_pretrained`. What has weights of its own names no parents: should its weights ever
        be out of reach, it must not come out as a new marriage.
        """
        parents, self.config.parents = self.config.parents, None
        try:
            super().save_pretrained(save_directory, *args, **kwargs)
        finally:
            self.config.parents = parents

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


def _find_adapter(name_or_path: str | os.PathLike, kwargs: dict[str, Any]) -> Location:
    """What is to be loaded: `name_or_path` itself, or the base of the adapter it holds.

    AutoModel has looked already, and gives the base and, in `adapter_kwargs`, where the adapter is.
    """
    adapter_kwargs = kwargs.get("adapter_kwargs") or {}
    if (adapter := adapter_kwargs.get("_adapter_model_path")) is not None:
        return Location(name_or_path, kwargs.get("revision"), adapter)
    location = {name: kwargs[name] for name in LOCATION_ARGUMENTS if kwargs.get(name) is not None}
    config_file = find_adapter_config_file(os.fspath(name_or_path), **location)
    if config_file is None or os.path.isfile(os.path.join(name_or_path, "config.json")):
        return Location(name_or_path, kwargs.get("revision"), None)
    with open(config_file, encoding="utf-8") as file:
        adapter_config = json.load(file)
    base = adapter_config["base_model_name_or_path"]
    remedy = "Write the base's place into its adapter_config.json, or load the base and call `load_adapter`."
    if base is None:
        raise ValueError(f"{name_or_path} is an adapter that names no base. {remedy}")
    try:
        check_place(base)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{name_or_path} is an adapter, whose base is not there. {error} {remedy}") from error
    return Location(base, adapter_config.get("revision"), name_or_path)
