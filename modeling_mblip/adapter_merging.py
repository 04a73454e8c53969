"""What an adapter makes of a single weight of its base.

PEFT itself computes the update, layer by layer: it is wrapped around the model on the meta device, where rank and
scale patterns, rank-stabilised scaling and transposed layers are resolved, and gets one layer's weights at a time. So
the outcome is that of `PeftModel.merge_and_unload`, bit by bit. Not shipped: no method of the model needs it.
"""

import os
import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from peft import LoraConfig, PeftConfig, PeftModel
from peft.tuners.lora import LoraLayer
from torch import nn

from .modeling_mblip import MBlipForConditionalGeneration
from .stored_tensors import TensorReader, adapter_tensors

PREFIX = "base_model.model."  # PEFT's, in front of every key
ADAPTER = "default"
FACTORS = ("lora_A", "lora_B")
# Ways to begin that change the base's weights, so that the update fits no base on disk.
CHANGING_STARTS = ("pissa", "olora", "corda", "loftq")


class AdapterUpdate:
    """The update of an adapter: LoRA on linear layers, and modules that it replaces."""

    def __init__(
        self, name_or_path: str | os.PathLike, skeleton: MBlipForConditionalGeneration, **location: Any
    ) -> None:
        """Read an adapter's configuration, and where its tensors lie.

        Args:
            skeleton: the base on the meta device; PEFT changes it in place.

        Raises:
            ValueError: the adapter is of a kind that cannot be merged weight by weight, or does not fit the base.
        """
        config = PeftConfig.from_pretrained(os.fspath(name_or_path), **location)
        _check_kind(config, name_or_path)
        self.name_or_path = name_or_path
        expected = {name: tuple(weight.shape) for name, weight in skeleton.state_dict().items()}
        tensors = adapter_tensors(name_or_path, **location)
        self.stored = {key.removeprefix(PREFIX): tensor for key, tensor in tensors.items()}
        _check_no_copies(self.stored, name_or_path)
        self.layers = _lora_layers(skeleton, config)
        places = {
            name: {factor: f"{name.removesuffix('.weight')}.{factor}.weight" for factor in FACTORS}
            for name in self.layers
        }
        self.factors = {
            name: {factor: self.stored.get(key) for factor, key in keys.items()} for name, keys in places.items()
        }
        of_lora = {key for keys in places.values() for key in keys.values()}
        self.replaced = {name: tensor for name, tensor in self.stored.items() if name not in of_lora}
        self._check_fit(expected)
        self._reader = TensorReader()

    def close(self) -> None:
        """Close the adapter's file, and free what was read of it."""
        self._reader.close()

    @property
    def changed(self) -> frozenset[str]:
        """The names of the weights that merging changes."""
        return frozenset(self.layers) | frozenset(self.replaced)

    def replacement(self, name: str) -> torch.Tensor:
        """The weight that stands in place of the base's."""
        return self._reader.read(self.replaced[name])

    def add_lora(self, name: str, weight: torch.Tensor) -> torch.Tensor:
        """A weight of the base, in the dtype it has in the model, with its LoRA added.

        Raises:
            ValueError: the sum is not finite.
        """
        layer = self.layers[name]
        for factor, stored in self.factors[name].items():
            assert stored is not None  # `_check_fit`
            # PEFT holds LoRA in fp32, however it was stored.
            getattr(layer, factor)[ADAPTER].weight = nn.Parameter(self._reader.read(stored).float())
        with torch.no_grad():
            merged = weight.clone()
            merged += layer.get_delta_weight(ADAPTER)  # type: ignore[attr-defined]  # every kind of layer has it
        for factor in FACTORS:
            getattr(layer, factor)[ADAPTER].to("meta")
        if not torch.isfinite(merged).all():
            raise ValueError(
                f"`{name}` with the LoRA of {self.name_or_path} holds values that are not finite: the adapter is "
                "broken, or the base's 16 bits are too narrow. Check the training run."
            )
        return merged

    def _check_fit(self, expected: Mapping[str, tuple[int, ...]]) -> None:
        """Every tensor of the adapter has its place, and every place its tensor."""
        found: dict[str, tuple[int, ...] | None] = {name: tensor.shape for name, tensor in self.replaced.items()}
        wanted: dict[str, tuple[int, ...] | None] = {name: expected.get(name) for name in self.replaced}
        for name, factors in self.factors.items():
            for factor, tensor in factors.items():
                key = f"{name.removesuffix('.weight')}.{factor}"
                wanted[key] = tuple(getattr(self.layers[name], factor)[ADAPTER].weight.shape)
                found[key] = None if tensor is None else tensor.shape
        for key, shape in wanted.items():
            if found[key] != shape:
                raise ValueError(
                    f"{self.name_or_path} does not fit its base: `{key}` is {_described(found[key])} in the adapter, "
                    f"expected {_described(shape)}. Give the base it was trained on with --base."
                )


def _described(shape: tuple[int, ...] | None) -> str:
    return "missing" if shape is None else f"of shape {shape}"


def _check_kind(config: PeftConfig, name_or_path: str | os.PathLike) -> None:
    """Refuse what is not LoRA in its plain form, naming the setting."""
    if not isinstance(config, LoraConfig):
        raise ValueError(f"{name_or_path} is an adapter of kind {config.peft_type}, expected LORA.")
    start = config.init_lora_weights
    refused = {
        "use_dora": config.use_dora,
        "bias": config.bias != "none",
        "lora_bias": config.lora_bias,
        "target_parameters": config.target_parameters,
        "trainable_token_indices": config.trainable_token_indices,
        "layer_replication": config.layer_replication,
        "init_lora_weights": isinstance(start, str) and start.lower().startswith(CHANGING_STARTS),
    }
    if settings := [name for name, is_refused in refused.items() if is_refused]:
        raise ValueError(
            f"{name_or_path} has `{settings[0]}={getattr(config, settings[0])!r}`, which changes more than linear "
            "layers by their LoRA. Load base and adapter and use PEFT's `merge_and_unload`."
        )


def _check_no_copies(names: Iterable[str], name_or_path: str | os.PathLike) -> None:
    if copied := sorted(name for name in names if ".base_layer." in name):
        raise ValueError(
            f"{name_or_path} adapts the head or the embeddings, of which PEFT saves a copy ({copied[0]!r}). Load base "
            "and adapter and use PEFT's `merge_and_unload`."
        )


def _lora_layers(skeleton: MBlipForConditionalGeneration, config: LoraConfig) -> dict[str, LoraLayer]:
    """PEFT's layers by the names of the weights that they change, all on the meta device."""
    with warnings.catch_warnings():
        # peft 0.21 asks for an attribute that transformers 5.23 has renamed.
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        PeftModel(skeleton, config, ADAPTER, low_cpu_mem_usage=True)
    layers = {f"{name}.weight": module for name, module in skeleton.named_modules() if isinstance(module, LoraLayer)}
    for name, layer in layers.items():
        if layer.lora_variant or not layer.lora_A:
            raise ValueError(
                f"The LoRA of `{name.removesuffix('.weight')}` is no plain one on a linear layer. Load base and "
                "adapter and use PEFT's `merge_and_unload`."
            )
    return layers
