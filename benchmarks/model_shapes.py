"""The shapes that the benchmarks run: the full models, cut ones of the same proportions, and toys.

A cut model keeps every width of the full model, so its matrix products are equally efficient. It has the same share of
every depth: of the ViT's 39 layers, the Q-Former's 12 and the language model's, and of the vocabulary, whose head
would otherwise dominate. The widths are those of EVA-CLIP ViT-g/14 and the Q-Former of BLIP-2, of mT0-XL and of
BLOOMZ-7B1. There is no dropout, so both sides of a comparison give the same numbers.
"""

from dataclasses import dataclass, replace
from typing import Any

from transformers import AutoConfig, Blip2Config

from modeling_mblip import MBlipConfig

NUM_VISION_LAYERS = 39
VISION: dict[str, Any] = {
    "hidden_size": 1408,
    "intermediate_size": 6144,
    "num_hidden_layers": NUM_VISION_LAYERS,
    "num_attention_heads": 16,
    "image_size": 224,
    "patch_size": 14,
    "initializer_range": 0.02,  # transformers' default, 1e-10, makes every image look the same
}
QFORMER: dict[str, Any] = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "cross_attention_frequency": 2,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
LANGUAGE_MODELS: dict[str, dict[str, Any]] = {
    "mt0-xl": {
        "model_type": "mt5",
        "vocab_size": 250112,
        "d_model": 2048,
        "d_kv": 64,
        "d_ff": 5120,
        "num_layers": 24,
        "num_decoder_layers": 24,
        "num_heads": 32,
        "feed_forward_proj": "gated-gelu",
        "dropout_rate": 0.0,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "decoder_start_token_id": 0,
    },
    "bloomz-7b1": {
        "model_type": "bloom",
        "vocab_size": 250880,
        "hidden_size": 4096,
        "n_layer": 30,
        "n_head": 32,
        "hidden_dropout": 0.0,
        "attention_dropout": 0.0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 3,
    },
}
# What a BLIP-2 brings along and a composition leaves behind.
FLAN_T5_XL: dict[str, Any] = LANGUAGE_MODELS["mt0-xl"] | {"model_type": "t5", "vocab_size": 32128}
LAYER_COUNTS = ("num_layers", "num_decoder_layers", "n_layer")
TOY_WIDTHS: dict[str, Any] = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_heads": 4, "hidden_size": 32, "n_head": 4}


@dataclass(frozen=True)
class Shape:
    """What both sides are built from: keyword arguments of the three configurations."""

    vision: dict[str, Any]
    qformer: dict[str, Any]
    text: dict[str, Any]
    num_query_tokens: int = 32

    @property
    def vocab_size(self) -> int:
        """Size of the vocabulary. Its last token is the `<image>` token, for which transformers needs an embedding."""
        return self.text["vocab_size"]

    @property
    def image_token_id(self) -> int:
        return self.vocab_size - 1

    def ours(self) -> MBlipConfig:
        return MBlipConfig(**self._parts(), image_token_id=self.image_token_id)

    def theirs(self) -> Blip2Config:
        return Blip2Config(**self._parts(), image_token_index=self.image_token_id)

    def _parts(self) -> dict[str, Any]:
        return {
            "vision_config": dict(self.vision),
            "qformer_config": dict(self.qformer),
            "text_config": AutoConfig.for_model(**self.text),
            "num_query_tokens": self.num_query_tokens,
        }

    def describe(self) -> str:
        layers = {name: self.text[name] for name in LAYER_COUNTS if name in self.text}
        return (
            f"ViT {self.vision['num_hidden_layers']} layers of width {self.vision['hidden_size']}, Q-Former "
            f"{self.qformer['num_hidden_layers']} of {self.qformer['hidden_size']}, {self.text['model_type']} "
            f"{' + '.join(map(str, layers.values()))}, vocabulary {self.vocab_size:,}"
        )


def full_shape(language_model: str) -> Shape:
    """The published model's shape."""
    return Shape(VISION, QFORMER, LANGUAGE_MODELS[language_model])


def donor_shape() -> Shape:
    """That of Salesforce/blip2-flan-t5-xl."""
    return Shape(VISION, QFORMER, FLAN_T5_XL)


def cut_shape(language_model: str, num_vision_layers: int) -> Shape:
    """Full widths, and `num_vision_layers` / 39 of every depth and of the vocabulary, at least one layer of each."""
    full, share = full_shape(language_model), num_vision_layers / NUM_VISION_LAYERS
    depths = {name: max(1, round(full.text[name] * share)) for name in LAYER_COUNTS if name in full.text}
    return Shape(
        vision=full.vision | {"num_hidden_layers": num_vision_layers},
        qformer=full.qformer | {"num_hidden_layers": max(1, round(QFORMER["num_hidden_layers"] * share))},
        text=full.text | depths | {"vocab_size": round(full.vocab_size * share)},
    )


def with_full_vocabulary(shape: Shape, language_model: str) -> Shape:
    """The same layers under the published vocabulary."""
    return replace(shape, text=shape.text | {"vocab_size": LANGUAGE_MODELS[language_model]["vocab_size"]})


def toy_shape(language_model: str) -> Shape:
    """Small enough for a test; its figures mean nothing."""
    text = cut_shape(language_model, 1).text
    narrow = {name: value for name, value in TOY_WIDTHS.items() if name in text}
    return Shape(
        vision=VISION
        | {"hidden_size": 24, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
        | {"image_size": 28},
        qformer=QFORMER
        | {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
        | {"vocab_size": 10, "max_position_embeddings": 16},
        text=text | narrow | {"vocab_size": 128},
        num_query_tokens=4,
    )
