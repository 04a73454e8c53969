"""What a result was computed with: versions, precision and hardware, without names of machines or people."""

import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

PACKAGES = ("mblip", "torch", "transformers", "tokenizers", "peft", "bitsandbytes")


def package_versions() -> Mapping[str, str]:
    """Python and the packages that touch a result."""
    return {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def describe_precision(model: Any) -> str:
    """What ViT and language model are held in, and the bits of a language model that is quantised."""
    dtype = str(model.dtype).removeprefix("torch.")
    quantization = getattr(model.config, "quantization_config", None)
    if quantization is None:
        return dtype
    plain = quantization if isinstance(quantization, Mapping) else quantization.to_dict()
    if plain.get("load_in_8bit"):
        return f"{dtype}, language model in 8 bit"
    if plain.get("load_in_4bit"):
        return f"{dtype}, language model in 4 bit ({plain['bnb_4bit_quant_type']})"
    return f"{dtype}, language model quantised by {plain.get('quant_method')}"


def describe_hardware(device: torch.device) -> str:
    """The device in words: the GPU's name, or the CPU's architecture and the threads used."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "cpu":
        return f"CPU ({platform.machine()}), {torch.get_num_threads()} thread(s)"
    return device.type
