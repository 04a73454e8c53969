"""What a result was computed with: versions and hardware, without names of machines or people."""

import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

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


def describe_hardware(device: torch.device) -> str:
    """The device in words: the GPU's name, or the CPU's architecture and the threads used."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "cpu":
        return f"CPU ({platform.machine()}), {torch.get_num_threads()} thread(s)"
    return device.type
