"""Tiny random models, tokenizers and processors, built in memory: every test runs offline and in fractions of a
second.

What it offers:
    FAMILIES name -> the keyword arguments of that language model's configuration ("mt5", "bloom", "llama" ...)
    ENCODER_DECODERS, DECODER_ONLY the names of FAMILIES by kind tiny_text_config(family, **kw) a language model's
    configuration tiny_config(family, **kw) an `MBlipConfig` tiny_model(family, seed=0, **kw) a model in eval mode,
    random but alive: nothing in it is zero tiny_blip2(family, seed=0) transformers' own BLIP-2 class with the same
    shapes tiny_batch(family, batch_size) prompts with one image each, and labels tiny_tokenizer(...) a word-level
    tokenizer over TOKENS, with pad, bos, eos tiny_processor(family) an `MBlipProcessor` around `tiny_tokenizer` (needs
    `processing_mblip`)

Vocabulary of the models: 128 tokens; `<image>` is 128, the first id behind it, so it has no embedding.
"""

from typing import Any

import torch
from transformers import (
    AutoConfig,
    Blip2Config,
    Blip2ForConditionalGeneration,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
)

from modeling_mblip import MBlipConfig, MBlipForConditionalGeneration

VOCAB_SIZE = 128
IMAGE_TOKEN_ID = 128
NUM_QUERY_TOKENS = 4
IMAGE_SIZE = 28

VISION: dict[str, Any] = {
    "hidden_size": 24,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": IMAGE_SIZE,
    "patch_size": 14,
    "initializer_range": 0.2,  # BLIP-2's default, 1e-10, leaves a random ViT dead
}
QFORMER: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "vocab_size": 10,
    "max_position_embeddings": 16,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "cross_attention_frequency": 1,
    "initializer_range": 0.2,
}
_IDS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
_LLAMA = _IDS | {
    "vocab_size": VOCAB_SIZE,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 128,
}
_T5 = {
    "vocab_size": VOCAB_SIZE,
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 64,
    "num_layers": 2,
    "num_decoder_layers": 2,
    "num_heads": 4,
    "dropout_rate": 0.0,
    "pad_token_id": 0,
    "eos_token_id": 1,
    "decoder_start_token_id": 0,
}
_BART = _IDS | {
    "vocab_size": VOCAB_SIZE,
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "max_position_embeddings": 128,
    "dropout": 0.0,
    "attention_dropout": 0.0,
    "activation_dropout": 0.0,
    "encoder_layerdrop": 0.0,
    "decoder_layerdrop": 0.0,
    "decoder_start_token_id": 2,
    "forced_eos_token_id": None,
    "scale_embedding": True,
}
_GPT2 = _IDS | {
    "vocab_size": VOCAB_SIZE,
    "n_embd": 32,
    "n_layer": 2,
    "n_head": 4,
    "n_positions": 128,
    "embd_pdrop": 0.0,
    "attn_pdrop": 0.0,
    "resid_pdrop": 0.0,
}
_BLOOM = _IDS | {"vocab_size": VOCAB_SIZE, "hidden_size": 32, "n_layer": 2, "n_head": 4}
_XGLM = _IDS | {
    "vocab_size": VOCAB_SIZE,
    "d_model": 32,
    "num_layers": 2,
    "attention_heads": 4,
    "ffn_dim": 64,
    "max_position_embeddings": 128,
    "dropout": 0.0,
    "attention_dropout": 0.0,
}
_OPT = _IDS | {
    "vocab_size": VOCAB_SIZE,
    "hidden_size": 32,
    "word_embed_proj_dim": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "ffn_dim": 64,
    "max_position_embeddings": 128,
    "dropout": 0.0,
}

_FALCON_H1 = _LLAMA | {
    "mamba_d_ssm": 32,
    "mamba_n_heads": 4,
    "mamba_d_head": 8,
    "mamba_d_state": 8,
    "mamba_n_groups": 1,
    "mamba_chunk_size": 8,
    "lm_head_multiplier": 0.5,
    "embedding_multiplier": 3.0,
}
_MAMBA = _IDS | {"vocab_size": VOCAB_SIZE, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 8}
_T5GEMMA_SIDE = _LLAMA | {
    "head_dim": 8,
    "sliding_window": 8,
    "attention_dropout": 0.0,
    "final_logit_softcapping": 3.0,
    "cross_attention_hidden_size": 32,
}
_T5GEMMA = _IDS | {
    "vocab_size": VOCAB_SIZE,
    "encoder": _T5GEMMA_SIDE,
    "decoder": _T5GEMMA_SIDE,
    "dropout_rate": 0.0,
    "attention_dropout": 0.0,
}
_SIGLIP = {
    "hidden_size": 24,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": IMAGE_SIZE,
    "patch_size": 14,
}
_GEMMA3_TEXT = _LLAMA | {"head_dim": 8, "sliding_window": 8}

# The name is the `model_type`, up to a "-" that tells apart two kinds of one type.
FAMILIES: dict[str, dict[str, Any]] = {
    "mt5": _T5,
    "t5": _T5,
    "umt5": _T5,
    "bart": _BART,
    "mbart": _BART,
    "marian": _BART | {"decoder_vocab_size": VOCAB_SIZE},
    "m2m_100": _BART,
    "pegasus": _BART,
    "mvp": _BART,
    "t5gemma": _T5GEMMA,
    "bloom": _BLOOM,
    "gpt2": _GPT2,
    "gpt_neox": _LLAMA,
    "xglm": _XGLM,
    "opt": _OPT,
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "qwen2": _LLAMA,
    "qwen3": _LLAMA | {"head_dim": 8},
    "gemma2": _LLAMA | {"head_dim": 8, "final_logit_softcapping": 3.0},
    "gemma3_text": _LLAMA | {"head_dim": 8, "final_logit_softcapping": 3.0},
    "granite": _LLAMA | {"logits_scaling": 3.0},
    "hyperclovax": _LLAMA | {"logits_scaling": 3.0},
    "cohere": _LLAMA | {"logit_scale": 0.25},
    "nanochat": _LLAMA | {"final_logit_softcapping": 15.0},
    "falcon_h1": _FALCON_H1,
    "mamba": _MAMBA,
}
ENCODER_DECODERS = ("mt5", "t5", "umt5", "bart", "mbart", "marian", "m2m_100", "pegasus", "mvp", "t5gemma")
DECODER_ONLY = tuple(name for name in FAMILIES if name not in ENCODER_DECODERS)

# Families of which a part never runs here: towers of their own, experts, and layers that are none.
UNUSUAL_FAMILIES: dict[str, dict[str, Any]] = {
    "gemma3": {"text_config": _GEMMA3_TEXT, "vision_config": _SIGLIP, "mm_tokens_per_image": 4},
    "t5gemma2": {
        "encoder": {"text_config": _GEMMA3_TEXT, "vision_config": _SIGLIP, "mm_tokens_per_image": 4},
        "decoder": _GEMMA3_TEXT,
    },
    "phi4_multimodal": _LLAMA
    | {
        "sliding_window": None,
        "vision_config": _SIGLIP | {"image_size": 56},
        "audio_config": {"hidden_size": 24, "intermediate_size": 48, "num_blocks": 1, "num_attention_heads": 2},
    },
    "nllb-moe": _BART | {"num_experts": 4, "expert_capacity": 64, "encoder_sparse_step": 2, "decoder_sparse_step": 2},
    "llama4_text": _LLAMA
    | {"intermediate_size_mlp": 64, "head_dim": 8, "num_local_experts": 4, "interleave_moe_layer_step": 1},
}


def tiny_text_config(family: str, **changes: Any) -> PreTrainedConfig:
    """The configuration of a tiny language model of `family`."""
    return AutoConfig.for_model(family, **((FAMILIES | UNUSUAL_FAMILIES)[family] | changes))


def tiny_config(family: str = "mt5", **changes: Any) -> MBlipConfig:
    """The configuration of a tiny model; `changes` replace its keyword arguments."""
    arguments: dict[str, Any] = {
        "vision_config": dict(VISION),
        "qformer_config": dict(QFORMER),
        "text_config": tiny_text_config(family),
        "num_query_tokens": NUM_QUERY_TOKENS,
        "image_token_id": IMAGE_TOKEN_ID,
    }
    return MBlipConfig(**(arguments | changes))


def tiny_model(family: str = "mt5", seed: int = 0, **changes: Any) -> MBlipForConditionalGeneration:
    """A tiny random model in eval mode; equal seeds give equal weights."""
    torch.manual_seed(seed)
    model = MBlipForConditionalGeneration(tiny_config(family, **changes)).eval()
    enliven(model)
    with torch.no_grad():
        model.query_tokens.weight.normal_(0.0, 1.0)
    return model


def tiny_blip2(family: str = "mt5", seed: int = 0, **changes: Any) -> Blip2ForConditionalGeneration:
    """transformers' own BLIP-2 of the same shapes; its `<image>` token needs an embedding, so it is the last token,
    127.
    """
    arguments: dict[str, Any] = {
        "vision_config": dict(VISION),
        "qformer_config": dict(QFORMER),
        "text_config": tiny_text_config(family),
        "num_query_tokens": NUM_QUERY_TOKENS,
        "image_token_index": VOCAB_SIZE - 1,
    }
    torch.manual_seed(seed)
    model = Blip2ForConditionalGeneration(Blip2Config(**(arguments | changes))).eval()
    enliven(model)
    with torch.no_grad():
        model.query_tokens.normal_(0.0, 1.0)
    return model


def enliven(model: torch.nn.Module) -> None:
    """Give every parameter and logit bias that is all zero random values, so that no part of the model can go missing
    unnoticed.
    """
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.any():
                parameter.normal_(0.0, 0.2)
        for name, buffer in model.named_buffers():
            if name.endswith("final_logits_bias"):
                buffer.normal_(0.0, 1.0)


def tiny_batch(
    family: str = "mt5", batch_size: int = 3, seed: int = 1, image_token_id: int = IMAGE_TOKEN_ID
) -> dict[str, torch.Tensor]:
    """Prompts of one image and six text tokens each, without padding; the first row's last two labels are none."""
    generator = torch.Generator().manual_seed(seed)
    words = torch.randint(5, 100, (batch_size, 6), generator=generator)
    images = torch.full((batch_size, NUM_QUERY_TOKENS), image_token_id)
    input_ids = torch.cat([images, words], dim=1)
    num_labels = 5 if family in (*ENCODER_DECODERS, "t5gemma2", "nllb-moe") else input_ids.shape[1]
    labels = torch.randint(5, 100, (batch_size, num_labels), generator=generator)
    labels[0, -2:] = -100
    return {
        "input_ids": input_ids,
        "attention_mask": torch.ones_like(input_ids),
        "pixel_values": torch.randn(batch_size, 3, IMAGE_SIZE, IMAGE_SIZE, generator=generator),
        "labels": labels,
    }


_WORDS = (
    "<pad> <bos> <eos> <unk> a an the in is of on red green blue small large circle square star heart one two three "
    "caption question answer English German Question: Answer: Caption eine ein rot Kreis Stern yes no what colour "
    "shape left right above"
)
TOKENS = tuple(_WORDS.split())


def tiny_tokenizer(
    vocab_size: int = VOCAB_SIZE, padding_side: str = "right", **special: Any
) -> PreTrainedTokenizerFast:
    """A word-level tokenizer: TOKENS, then `w46`, `w47` ... up to `vocab_size`. It adds no bos or eos by itself."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = [*TOKENS, *(f"w{i}" for i in range(len(TOKENS), vocab_size))][:vocab_size]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    names = {"pad_token": "<pad>", "bos_token": "<bos>", "eos_token": "<eos>", "unk_token": "<unk>"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, padding_side=padding_side, **(names | special))


def tiny_processor(family: str = "mt5", **changes: Any) -> Any:
    """A processor whose image size, query tokens and `<image>` id fit `tiny_model(family)`."""
    from processing_mblip import MBlipImageProcessor, MBlipProcessor

    size = {"height": IMAGE_SIZE, "width": IMAGE_SIZE}
    side = "right" if family in ENCODER_DECODERS else "left"
    arguments: dict[str, Any] = {"num_query_tokens": NUM_QUERY_TOKENS, "image_token_id": IMAGE_TOKEN_ID}
    return MBlipProcessor(MBlipImageProcessor(size=size), tiny_tokenizer(padding_side=side), **(arguments | changes))
