"""Folders laid out like the published mBLIP checkpoints of 2023, at tiny size, and what their models must answer.

What such a folder has and one of today has not: `model_type: blip-2` without an id for the `<image>` token, and
configurations with every default that transformers then wrote; weights in pickled shards, with tied matrices under all
of their names and tensors that are no weights today; a vocabulary with more rows than the tokenizer has tokens, among
which `<image>` finds its id. mT0's head is not tied to its embeddings, BLOOM's is.

The reference is made of transformers' own parts, put together by hand: no code of this project computes it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    Blip2QFormerConfig,
    Blip2QFormerModel,
    Blip2VisionConfig,
    Blip2VisionModel,
    PreTrainedModel,
)

from tests.hub.old_configurations import (
    BLOOM_CONFIG,
    MT5_CONFIG,
    QFORMER_CONFIG,
    VISION_CONFIG,
    generation_config,
    model_config,
    preprocessor_config,
)
from tests.hub.old_tokenizers import save_bloom_tokenizer, save_mt5_tokenizer
from tests.tiny import enliven

NUM_QUERY_TOKENS = 4
NUM_SPARE_ROWS = 12  # mT0 has 12 rows behind its tokenizer's tokens, BLOOMZ 200
NUM_SHARDS = {"mt0": 2, "bloomz": 3}


@dataclass(frozen=True)
class Reference:
    """The parts of a BLIP-2 with the weights of a folder, in fp32.

    Args:
        num_tokens: of the tokenizer, hence the id of `<image>`.
    """

    vision_model: PreTrainedModel
    qformer: PreTrainedModel
    query_tokens: torch.Tensor
    language_projection: torch.nn.Linear
    language_model: PreTrainedModel
    num_tokens: int

    @torch.no_grad()
    def logits(
        self, pixel_values: torch.Tensor, input_ids: torch.Tensor, decoder_input_ids: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Logits for prompts of one image each, none of them padded: the tokens behind `<image>` are embedded, the
        image features put in front.
        """
        seen = self.vision_model(pixel_values).last_hidden_state
        queries = self.query_tokens.expand(len(pixel_values), -1, -1)
        features = self.language_projection(self.qformer(queries, encoder_hidden_states=seen).last_hidden_state)
        tokens = self.language_model.get_input_embeddings()(input_ids[:, NUM_QUERY_TOKENS:])
        arguments = {} if decoder_input_ids is None else {"decoder_input_ids": decoder_input_ids}
        return self.language_model(inputs_embeds=torch.cat([features, tokens], dim=1), **arguments).logits

    def state_dict(self) -> dict[str, torch.Tensor]:
        """All weights under BLIP-2's keys, in the order of 2023; tied ones share their memory."""
        state = {"query_tokens": self.query_tokens}
        for name in ("vision_model", "qformer", "language_projection", "language_model"):
            state |= {f"{name}.{key}": weight for key, weight in getattr(self, name).state_dict().items()}
        return state


def save_published(folder: Path, kind: str, seed: int = 0) -> Reference:
    """Write a folder like that of `Gregor/mblip-mt0-xl` (kind "mt0") or `Gregor/mblip-bloomz-7b` (kind "bloomz").

    Returns:
        What its model computes, with the weights rounded to the folder's bfloat16.
    """
    folder.mkdir(parents=True)
    num_tokens = (save_mt5_tokenizer if kind == "mt0" else save_bloom_tokenizer)(folder)
    text_config = (MT5_CONFIG if kind == "mt0" else BLOOM_CONFIG) | {"vocab_size": num_tokens + NUM_SPARE_ROWS}
    torch.manual_seed(seed)
    reference = _reference(text_config, num_tokens)
    contents = {
        "config.json": model_config(text_config, num_query_tokens=NUM_QUERY_TOKENS),
        "generation_config.json": generation_config(text_config),
        "preprocessor_config.json": preprocessor_config(VISION_CONFIG["image_size"]),
    }
    for name, content in contents.items():
        _write_json(folder / name, content)
    save_shards(folder, _as_published(reference.state_dict(), kind), NUM_SHARDS[kind])
    return reference


def save_shards(folder: Path, state: Mapping[str, torch.Tensor], num_shards: int) -> None:
    """Write pickled shards with their index: the image side in the first, each with its part of the language model."""
    texts = [key for key in state if key.startswith("language_model.")]
    size = -(-len(texts) // num_shards)
    parts = [texts[start : start + size] for start in range(0, len(texts), size)]
    parts[0] = [key for key in state if not key.startswith("language_model.")] + parts[0]
    weight_map = {}
    for number, keys in enumerate(parts, start=1):
        name = f"pytorch_model-{number:05}-of-{num_shards:05}.bin"
        torch.save({key: state[key] for key in keys}, folder / name)
        weight_map |= dict.fromkeys(keys, name)
    total_size = sum(weight.numel() * weight.element_size() for weight in state.values())
    _write_json(
        folder / "pytorch_model.bin.index.json",
        {"metadata": {"total_size": total_size}, "weight_map": dict(sorted(weight_map.items()))},
    )


def _reference(text_config: dict[str, Any], num_tokens: int) -> Reference:
    vision_config, qformer_config = Blip2VisionConfig(**VISION_CONFIG), Blip2QFormerConfig(**QFORMER_CONFIG)
    language_config = AutoConfig.for_model(**text_config)
    auto_class = AutoModelForSeq2SeqLM if language_config.is_encoder_decoder else AutoModelForCausalLM
    language_model = auto_class.from_config(language_config).float()
    width = language_model.get_input_embeddings().weight.shape[1]
    if language_config.is_encoder_decoder:
        language_model.lm_head.weight = torch.nn.Parameter(torch.randn(text_config["vocab_size"], width))
    reference = Reference(
        Blip2VisionModel._from_config(vision_config).eval(),
        Blip2QFormerModel._from_config(qformer_config).eval(),
        torch.randn(1, NUM_QUERY_TOKENS, qformer_config.hidden_size),
        torch.nn.Linear(qformer_config.hidden_size, width),
        language_model.eval(),
        num_tokens,
    )
    for part in (reference.vision_model, reference.qformer, reference.language_projection, language_model):
        enliven(part)
    with torch.no_grad():
        for weight in reference.state_dict().values():
            weight.copy_(weight.bfloat16())
    return reference


def _as_published(state: Mapping[str, torch.Tensor], kind: str) -> dict[str, torch.Tensor]:
    """In bfloat16, tied weights still sharing their memory, with tensors that are no weights today."""
    rounded: dict[int, torch.Tensor] = {}
    for weight in state.values():
        rounded.setdefault(weight.data_ptr(), weight.bfloat16())
    published = {key: rounded[weight.data_ptr()] for key, weight in state.items()}
    published["qformer.embeddings.position_ids"] = torch.arange(QFORMER_CONFIG["max_position_embeddings"])[None]
    if kind == "mt0":
        heads = MT5_CONFIG["num_heads"]
        key = "language_model.decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
        published[key] = torch.ones(32, heads, dtype=torch.bfloat16)
    return published


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
