"""Our model and transformers' BLIP-2 with the same weights, and the options for their shape.

Both sides share the modules themselves, not copies: our model uses the reference's ViT, Q-Former, projection, query
tokens and language model. Only the code that connects them differs.
"""

import argparse
from dataclasses import dataclass

import torch
from model_shapes import Shape, cut_shape, full_shape, toy_shape
from torch import nn
from transformers import Blip2ForConditionalGeneration

from modeling_mblip import MBlipForConditionalGeneration

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
SHARED_MODULES = ("vision_model", "qformer", "language_projection", "language_model")


@dataclass(frozen=True)
class ModelPair:
    """Two models that share every parameter."""

    ours: MBlipForConditionalGeneration
    theirs: Blip2ForConditionalGeneration
    shape: Shape

    @property
    def device(self) -> torch.device:
        return self.theirs.device


def add_pair_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that all benchmarks of the model have."""
    parser.add_argument("--language-model", choices=["mt0-xl", "bloomz-7b1"], default="mt0-xl")
    parser.add_argument(
        "--shape",
        choices=["cut", "full", "toy"],
        help="cut: real widths, a share of every depth (default on a CPU); full: as published (default on CUDA)",
    )
    parser.add_argument("--vision-layers", type=int, default=3, help="of 39, in a cut shape; all depths follow")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--dtype", choices=list(DTYPES), help="default: float32 on a CPU, bfloat16 on CUDA")
    parser.add_argument("--rounds", type=int, default=5)


def chosen_shape(arguments: argparse.Namespace) -> Shape:
    """The shape that the command line asks for."""
    name = arguments.shape or ("full" if arguments.device == "cuda" else "cut")
    if name == "cut":
        return cut_shape(arguments.language_model, arguments.vision_layers)
    return full_shape(arguments.language_model) if name == "full" else toy_shape(arguments.language_model)


def chosen_dtype(arguments: argparse.Namespace) -> torch.dtype:
    """The dtype of all weights on both sides; the reference wants a single one."""
    return DTYPES[arguments.dtype or ("bfloat16" if arguments.device == "cuda" else "float32")]


def build_pair(shape: Shape, device: str, dtype: torch.dtype) -> ModelPair:
    """Random weights, in eval mode; nothing trains yet."""
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            theirs = Blip2ForConditionalGeneration(shape.theirs()).eval()
        with torch.device("meta"):
            ours = MBlipForConditionalGeneration(shape.ours()).eval()
    finally:
        torch.set_default_dtype(before)
    nn.init.normal_(theirs.query_tokens)
    for name in SHARED_MODULES:
        setattr(ours, name, getattr(theirs, name))
    ours.query_tokens.weight = theirs.query_tokens
    return ModelPair(ours, theirs.requires_grad_(False), shape)
