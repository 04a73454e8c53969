"""In what a model is held: the dtype of ViT and language model, and the bits of a quantised language model.

The rule: what trains is float32, always. ViT and language model are bfloat16 where the hardware computes in it, else
float32. There is no float16: T5 and its heirs overflow in it.
"""

from dataclasses import dataclass
from typing import Any, Self

import torch
from transformers import BitsAndBytesConfig

from mblip.evaluation.recipe import DtypeName, LoadIn

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Precision:
    """`dtype` of ViT and language model; `load_in`: the language model is quantised, None: it is not."""

    dtype: torch.dtype
    load_in: LoadIn | None = None

    @classmethod
    def named(cls, dtype: DtypeName = "auto", load_in: LoadIn | None = None) -> Self:
        """The precision that a recipe names; "auto" is what the hardware has."""
        return cls(DTYPES.get(dtype) or (torch.bfloat16 if has_bf16() else torch.float32), load_in)

    def arguments(self) -> dict[str, Any]:
        """The arguments of `from_pretrained`, and of `from_blip2_pretrained`."""
        return {"dtype": self.dtype, "quantization_config": self._quantization()}

    def _quantization(self) -> BitsAndBytesConfig | None:
        if self.load_in == "8bit":
            return BitsAndBytesConfig(load_in_8bit=True)
        if self.load_in == "4bit":
            return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=self.dtype)
        return None


def has_bf16() -> bool:
    """Whether there is a GPU that computes in bfloat16 itself; CPUs, and GPUs that only emulate it, do not count."""
    return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
