"""The configurations of a BLIP-2 as transformers 4.28 saved them: every part with every default there was."""

from collections.abc import Mapping
from typing import Any

TRANSFORMERS_VERSION = "4.28.0.dev0"

# `PretrainedConfig.to_dict()` of that version wrote all of these into every part.
DEFAULTS_OF_2023: dict[str, Any] = {
    "_name_or_path": "",
    "add_cross_attention": False,
    "architectures": None,
    "bad_words_ids": None,
    "begin_suppress_tokens": None,
    "bos_token_id": None,
    "chunk_size_feed_forward": 0,
    "cross_attention_hidden_size": None,
    "decoder_start_token_id": None,
    "diversity_penalty": 0.0,
    "do_sample": False,
    "early_stopping": False,
    "encoder_no_repeat_ngram_size": 0,
    "eos_token_id": None,
    "exponential_decay_length_penalty": None,
    "finetuning_task": None,
    "forced_bos_token_id": None,
    "forced_eos_token_id": None,
    "id2label": {"0": "LABEL_0", "1": "LABEL_1"},
    "is_decoder": False,
    "is_encoder_decoder": False,
    "label2id": {"LABEL_0": 0, "LABEL_1": 1},
    "length_penalty": 1.0,
    "max_length": 20,
    "min_length": 0,
    "no_repeat_ngram_size": 0,
    "num_beam_groups": 1,
    "num_beams": 1,
    "num_return_sequences": 1,
    "output_attentions": False,
    "output_hidden_states": False,
    "output_scores": False,
    "pad_token_id": None,
    "prefix": None,
    "problem_type": None,
    "pruned_heads": {},
    "remove_invalid_values": False,
    "repetition_penalty": 1.0,
    "return_dict": True,
    "return_dict_in_generate": False,
    "sep_token_id": None,
    "suppress_tokens": None,
    "task_specific_params": None,
    "temperature": 1.0,
    "tf_legacy_loss": False,
    "tie_encoder_decoder": False,
    "tie_word_embeddings": True,
    "tokenizer_class": None,
    "top_k": 50,
    "top_p": 1.0,
    "torch_dtype": None,
    "torchscript": False,
    "transformers_version": TRANSFORMERS_VERSION,
    "typical_p": 1.0,
    "use_bfloat16": False,
}

VISION_CONFIG = DEFAULTS_OF_2023 | {
    "attention_dropout": 0.0,
    "dropout": 0.0,
    "hidden_act": "gelu",
    "hidden_size": 24,
    "image_size": 28,
    "initializer_factor": 1.0,
    "initializer_range": 0.2,  # published: 1e-10, with which these random weights would see nothing
    "intermediate_size": 48,
    "layer_norm_eps": 1e-06,
    "model_type": "blip_2_vision_model",
    "num_attention_heads": 2,
    "num_channels": 3,
    "num_hidden_layers": 2,
    "patch_size": 14,
    "projection_dim": 512,
    "qkv_bias": True,
}

QFORMER_CONFIG = DEFAULTS_OF_2023 | {
    "attention_probs_dropout_prob": 0.1,
    "classifier_dropout": None,
    "cross_attention_frequency": 2,
    "encoder_hidden_size": 24,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "hidden_size": 16,
    "initializer_range": 0.2,
    "intermediate_size": 32,
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 16,
    "model_type": "blip_2_qformer",
    "num_attention_heads": 2,
    "num_hidden_layers": 3,
    "pad_token_id": 0,
    "position_embedding_type": "absolute",
    "vocab_size": 30,
}

MT5_CONFIG = DEFAULTS_OF_2023 | {
    "_name_or_path": "bigscience/mt0-xl",
    "architectures": ["MT5ForConditionalGeneration"],
    "d_ff": 64,
    "d_kv": 8,
    "d_model": 32,
    "decoder_start_token_id": 0,
    "dense_act_fn": "gelu_new",
    "dropout_rate": 0.1,
    "eos_token_id": 1,
    "feed_forward_proj": "gated-gelu",
    "initializer_factor": 1.0,
    "is_encoder_decoder": True,
    "is_gated_act": True,
    "layer_norm_epsilon": 1e-06,
    "model_type": "mt5",
    "num_decoder_layers": 2,
    "num_heads": 4,
    "num_layers": 2,
    "output_past": True,
    "pad_token_id": 0,
    "relative_attention_max_distance": 128,
    "relative_attention_num_buckets": 32,
    "tie_word_embeddings": False,
    "tokenizer_class": "T5Tokenizer",
    "torch_dtype": "bfloat16",
    "use_cache": True,
}

BLOOM_CONFIG = DEFAULTS_OF_2023 | {
    "_name_or_path": "bigscience/bloomz-7b1",
    "apply_residual_connection_post_layernorm": False,
    "architectures": ["BloomForCausalLM"],
    "attention_dropout": 0.0,
    "attention_softmax_in_fp32": True,
    "bias_dropout_fusion": True,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "hidden_dropout": 0.0,
    "hidden_size": 32,
    "initializer_range": 0.2,
    "layer_norm_epsilon": 1e-05,
    "masked_softmax_fusion": True,
    "model_type": "bloom",
    "n_head": 4,
    "n_inner": None,
    "n_layer": 2,
    "offset_alibi": 100,
    "pad_token_id": 3,
    "pretraining_tp": 4,
    "skip_bias_add": True,
    "skip_bias_add_qkv": False,
    "slow_but_exact": False,
    "torch_dtype": "bfloat16",
    "unk_token_id": 0,
    "use_cache": True,
}

GENERATION_KEYS = ("bos_token_id", "decoder_start_token_id", "eos_token_id", "pad_token_id")


def generation_config(text_config: Mapping[str, Any]) -> dict[str, Any]:
    """The whole generation_config.json: the language model's special tokens."""
    tokens = {name: text_config[name] for name in GENERATION_KEYS if text_config[name] is not None}
    return {"_from_model_config": True, "transformers_version": TRANSFORMERS_VERSION} | tokens


def model_config(text_config: Mapping[str, Any], num_query_tokens: int) -> dict[str, Any]:
    """The whole config.json."""
    return {
        "architectures": ["Blip2ForConditionalGeneration"],
        "initializer_factor": 1.0,
        "initializer_range": 0.02,
        "model_type": "blip-2",
        "num_query_tokens": num_query_tokens,
        "qformer_config": QFORMER_CONFIG,
        "text_config": dict(text_config),
        "tie_word_embeddings": text_config["tie_word_embeddings"],
        "torch_dtype": "bfloat16",
        "transformers_version": None,
        "use_decoder_only_language_model": not text_config["is_encoder_decoder"],
        "vision_config": VISION_CONFIG,
    }


def preprocessor_config(image_size: int) -> dict[str, Any]:
    """The whole preprocessor_config.json."""
    return {
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_processor_type": "BlipImageProcessor",
        "image_std": [0.26862954, 0.26130258, 0.27577711],
        "processor_class": "Blip2Processor",
        "resample": 3,
        "rescale_factor": 0.00392156862745098,
        "size": {"height": image_size, "width": image_size},
    }
