"""The interface to transformers' language models: their classes, the arguments of their `forward`, our requirements.

All differences between language models and between releases of transformers are handled here, by asking the model.
The cache, for example, is called `cache` from transformers 5.24 on, `past_key_values` before, and `cache_params` in
Mamba. A prompt with images reaches the language model as embeddings. Some models also need the ids, attend to later
tokens, or read padding as text. They would not fail, but their results would be wrong, so we refuse them by name.

Shape suffixes: B = prompts, T = tokens; `...` = any further dimensions.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any, Literal, TypeVar

import torch
from torch import nn
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, PreTrainedConfig, PreTrainedModel
from transformers.cache_utils import Cache
from transformers.modeling_outputs import CausalLMOutputWithPast
from transformers.utils import ModelOutput
from transformers.utils.deprecation import deprecate_kwarg

CACHE_NAMES = ("cache", "past_key_values", "cache_params")
# The installed release's name for the cache, in arguments and outputs. Its `generate` uses this name.
CACHE_NAME = next(name for name in CACHE_NAMES if name in CausalLMOutputWithPast.__dataclass_fields__)
# Their encoders multiply embeddings by `embed_scale` if they look them up themselves, not if they are given them.
MODEL_TYPES_WITH_SCALING_ENCODER = frozenset({"marian", "pegasus", "blenderbot-small", "mvp"})
# We omit these if the language model does not name them. We pass on all other unknown arguments, for it to refuse.
OPTIONAL_ARGUMENTS = frozenset({"position_ids", "logits_to_keep", "use_cache"})
# In these models transformers lets padding in front of a prompt enter the state of recurrent layers or (MiniMax) shift
# the mask of every step after the first. The classes take an `attention_mask` like all others, so we cannot ask them.
MODEL_TYPES_THAT_READ_PADDING = frozenset({"rwkv", "recurrent_gemma", "xlstm", "minimax"})
CAUSALITY_FLAGS = ("is_causal", "is_decoder")
# Parts of language models that read images or sound themselves (Gemma 3, Phi-4). Ours never reach them.
OTHER_TOWERS = (
    *("vision_tower", "audio_tower", "multi_modal_projector"),
    *("embed_vision", "embed_audio", "embed_tokens_extend"),
)

Function = TypeVar("Function", bound=Callable[..., Any])


def text_model_class(text_config: PreTrainedConfig) -> type[AutoModelForSeq2SeqLM] | type[AutoModelForCausalLM]:
    """The Auto class that builds a language model of this configuration."""
    return AutoModelForSeq2SeqLM if text_config.is_encoder_decoder else AutoModelForCausalLM


def head_name(text_config: PreTrainedConfig) -> str:
    """The name of the output head inside a language model of this configuration."""
    with torch.device("meta"):
        skeleton = text_model_class(text_config).from_config(text_config)
    head = skeleton.get_output_embeddings()
    return next(name for name, module in skeleton.named_modules() if module is head)


def takes_cache(forward: Function) -> Function:
    """Rename the parameter `cache` of a `forward` to the installed release's name, which transformers looks up.

    The other name is accepted, too, with a deprecation warning if transformers gives one.
    """
    if CACHE_NAME == "cache":
        return deprecate_kwarg("past_key_values", "5.40.0", new_name="cache")(forward)

    @functools.wraps(forward)
    def renaming(*args: Any, **kwargs: Any) -> Any:
        rename_cache(kwargs, CACHE_NAME, "cache")
        return forward(*args, **kwargs)

    signature = inspect.signature(forward)
    parameters = [p.replace(name=CACHE_NAME) if p.name == "cache" else p for p in signature.parameters.values()]
    renaming.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return renaming  # type: ignore[return-value]


def rename_cache(arguments: dict[str, Any], old: str, new: str) -> None:
    """Give the cache another name in a call's arguments.

    Raises:
        ValueError: both names are given.
    """
    if old != new and old in arguments:
        if new in arguments:
            raise ValueError(f"Both `{old}` and `{new}` came in, expected one of them.")
        arguments[new] = arguments.pop(old)


def cache_of(output: ModelOutput) -> Cache | None:
    """The cache in a language model's output, under any of its names; None if there is none."""
    return next((output[name] for name in CACHE_NAMES if name in output.keys()), None)  # noqa: SIM118 (`in output` warns)


def pop_cache(arguments: dict[str, Any]) -> Cache | None:
    """Remove the cache from a call's arguments, under any of its names, and return it."""
    caches = [arguments.pop(name, None) for name in CACHE_NAMES]
    return next((cache for cache in caches if cache is not None), None)


def check_cache(model_class: type[PreTrainedModel]) -> str:
    """The name under which a model class's `forward` takes its cache.

    Raises:
        ValueError: it takes no cache of transformers (RWKV, for example). It would silently forget its prompt.
    """
    names = argument_names(model_class)
    if (found := next((name for name in CACHE_NAMES if name in names), None)) is None:
        raise ValueError(
            f"{model_class.__name__} takes none of {', '.join(CACHE_NAMES)}, so it cannot continue a prompt. Use a "
            "language model with a cache of transformers."
        )
    return found


def argument_names(model_class: type[PreTrainedModel]) -> frozenset[str]:
    """Names that a model class's `forward` takes."""
    return _parameter_names(model_class.forward)


@functools.cache
def _parameter_names(function: Callable[..., Any]) -> frozenset[str]:
    return frozenset(inspect.signature(function).parameters)


def known_arguments(model_class: type[PreTrainedModel], arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments that are not None, under the names that this language model uses. `check_cache` checks a cache."""
    names = argument_names(model_class)
    known = {
        name: value
        for name, value in arguments.items()
        if value is not None and (name in names or name not in OPTIONAL_ARGUMENTS)
    }
    if (cache := pop_cache(known)) is not None:
        known[check_cache(model_class)] = cache
        if holds_prompt(cache) and not counts_tokens(cache):
            known.pop("attention_mask", None)  # tokens that follow a recurrent state are never padding
    return known


def counts_tokens(cache: Cache) -> bool:
    """Whether a cache knows how many tokens it holds. The cache of a purely recurrent model does not."""
    try:
        cache.get_seq_length()
    except ValueError:
        return False
    return True


def holds_prompt(cache: Cache | None) -> bool:
    """Whether the cache already holds the prompt. If so, the input is new text without images."""
    if cache is None:
        return False
    return cache.get_seq_length() > 0 if counts_tokens(cache) else cache.has_previous_state()


def position_ids_from_mask(
    attention_mask: torch.Tensor | None, num_tokens: int, first: int = 0
) -> torch.Tensor | None:
    """Number the positions of the tokens without counting padding: (B, past + T) -> (B, T).

    Args:
        attention_mask: 1 at tokens, 0 at padding. If it is None or already expanded, the language model counts itself
            and we return None.
        num_tokens: T, the tokens of this call, which are the last ones of the mask.
        first: the number of the first position.
    """
    if not torch.is_tensor(attention_mask) or attention_mask.ndim != 2:
        return None
    return (attention_mask.long().cumsum(dim=-1) - 1).clamp(min=0)[:, -num_tokens:] + first


def move_padding(
    states_BT: torch.Tensor, attention_mask_BT: torch.Tensor | None, side: Literal["left", "right"]
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Move all padding to one side of every prompt. Tokens keep their order. Returns (B, T, ...) and its mask."""
    if attention_mask_BT is None:
        return states_BT, None
    stands_BT = attention_mask_BT != 0
    if bool(stands_BT[:, -1 if side == "left" else 0].all()):
        return states_BT, attention_mask_BT
    order_BT = stands_BT.long().argsort(dim=1, stable=True, descending=side == "right")
    index = order_BT.to(states_BT.device).reshape(*order_BT.shape, *[1] * (states_BT.ndim - 2))
    return states_BT.gather(1, index.expand_as(states_BT)), attention_mask_BT.gather(1, order_BT)


def drop_other_towers(language_model: PreTrainedModel) -> None:
    """Remove the language model's own image and audio encoders, which would be trained and saved without any use."""
    for module in list(language_model.modules()):
        for name, _ in list(module.named_children()):
            if name in OTHER_TOWERS:
                setattr(module, name, None)


def embedding_scale(language_model: PreTrainedModel) -> float:
    """The factor by which a language model multiplies only those embeddings that it looks up itself.

    Most models scale inside the embedding module, or also scale the embeddings they are given. For them it is 1.
    """
    config = language_model.config.get_text_config()
    if config.model_type in MODEL_TYPES_WITH_SCALING_ENCODER and language_model.config.is_encoder_decoder:
        return language_model.get_encoder().embed_scale
    return config.embedding_multiplier if config.model_type == "falcon_h1" else 1.0


def first_position(model: nn.Module) -> int:
    """The number of the first position. RoBERTa's family starts after its padding id, all others at 0."""
    for name, module in model.named_modules():
        if name.rpartition(".")[2] == "position_embeddings" and isinstance(module, nn.Embedding):
            return 0 if module.padding_idx is None else module.padding_idx + 1
    return 0


def check_language_model(language_model: PreTrainedModel) -> None:
    """Refuse a language model whose results would be silently wrong, or that has layers for images of its own.

    Raises:
        ValueError: the model takes no embeddings, needs token ids too, attends to later tokens, or has these layers.
    """
    if reason := _why_unfit(language_model):
        raise ValueError(
            f"{type(language_model).__name__} ({language_model.config.model_type}) cannot read images: {reason}. "
            "Use another language model."
        )


def _why_unfit(language_model: PreTrainedModel) -> str | None:
    """Why the model cannot read our images; None if it can."""
    config = language_model.config.get_text_config()
    if getattr(config, "cross_attention_layers", None):  # Llama 3.2 Vision
        return "its `cross_attention_layers` read images of its own encoder, and would never be reached"
    if "inputs_embeds" not in argument_names(type(language_model)):
        return "its `forward` takes no `inputs_embeds`"
    if getattr(config, "hidden_size_per_layer_input", 0):
        return (
            "it embeds token ids again in every layer (`hidden_size_per_layer_input` is "
            f"{config.hidden_size_per_layer_input}, expected 0)"
        )
    if "hash_moe" in (getattr(config, "mlp_layer_types", None) or ()):
        return 'it chooses experts by token id (`mlp_layer_types` holds "hash_moe")'
    if language_model.config.is_encoder_decoder:
        return None
    found = [getattr(module, name, None) for module in language_model.modules() for name in CAUSALITY_FLAGS]
    if False in found and True not in found:
        return (
            "every token attends to later tokens, which it has to predict. If the model is an encoder that can be a "
            "decoder, set `is_decoder=True` in its configuration"
        )
    if getattr(config, "attn_type", None) == "bi":  # XLNet; transformers has no other kind of it
        return 'every token attends to later tokens (`attn_type` is "bi")'
    return None


def check_training_precision(language_model: PreTrainedModel) -> None:
    """Refuse to train T5 and models derived from it in fp16, whether by their dtype or by autocast.

    They were trained in bfloat16, and their feed-forward layers reach values beyond the range of fp16: the loss
    becomes nan, or values are clamped. transformers keeps their `wo` layers in fp32 for this reason.

    Raises:
        ValueError: the model is one of them and computes in fp16.
    """
    if "wo" not in (type(language_model)._keep_in_fp32_modules or ()):
        return
    device = language_model.device.type
    is_autocast = torch.is_autocast_enabled(device)
    dtype = torch.get_autocast_dtype(device) if is_autocast else language_model.dtype
    if dtype == torch.float16:
        where = "under autocast" if is_autocast else "by its own dtype"
        raise ValueError(
            f"{type(language_model).__name__} cannot be trained in float16 ({where}): its values overflow. Use "
            "bfloat16 (`dtype=torch.bfloat16`, `bf16=True`), or float32 if the hardware has no bfloat16."
        )


def check_padding_in_front(language_model: PreTrainedModel, attention_mask: torch.Tensor | None) -> None:
    """Refuse padding in front of prompts if the decoder-only language model would read it as tokens.

    Args:
        attention_mask: (B, T). None and masks that are already expanded are not checked.

    Raises:
        ValueError: a prompt is padded on the left, and the model counts padding as positions or reads it otherwise.
    """
    if not torch.is_tensor(attention_mask) or attention_mask.ndim != 2 or bool(attention_mask[:, 0].all()):
        return
    reads_padding = language_model.config.model_type in MODEL_TYPES_THAT_READ_PADDING
    # BART's family adds absolute positions and counts them from the first column. RoFormer counts so, too, but its
    # positions rotate queries and keys, so only distances matter.
    counts_padding = "position_ids" not in argument_names(type(language_model)) and any(
        hasattr(module, "embed_tokens") and hasattr(module, "embed_positions") for module in language_model.modules()
    )
    if reads_padding or counts_padding:
        why = "reads padding" if reads_padding else "takes no `position_ids` and counts padding"
        raise ValueError(
            f"Prompts are padded on the left, but {type(language_model).__name__} {why} as tokens. Pad on the right "
            "for training, and generate only for prompts of equal length in a batch."
        )
