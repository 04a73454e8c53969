"""Whether what a model keeps of a prompt can be taken up for many continuations, and taking it up.

transformers' caches of attention hold one entry per prompt, which rows can share out. Recurrent layers keep a state
instead, and their caches select rows of it wrongly or not at all (Falcon-H1, Mamba); others are of kinds of their own.
Kinds are therefore named here, and a model of a known kind is still held against itself: once, and again wherever a
prompt is longer than the window of its attention, which some forget where several words come at once (Moshi).

Shape suffixes: B = prompts, K = words of the lead, R = rows, L = words of a row, D = width of the language model.
"""

import copy
import logging
from typing import Any, Protocol

import torch
from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer, EncoderDecoderCache

logger = logging.getLogger(__name__)

SHARED_OUT = (DynamicLayer, DynamicSlidingWindowLayer)


class ReadPrompts(Protocol):
    """Prompts of one length that a model has read, each with a lead of its candidates behind it (B prompts, K words
    of the lead). Rows name their prompts on the CPU, from where a cache on any device can be indexed."""

    cache: Any

    @property
    def states(self) -> torch.Tensor:
        """Hidden states behind the prompt and each word of the lead, (B, 1 + K, D)."""
        ...

    def continued(self, prompts_R: torch.Tensor, words_RL: torch.Tensor) -> torch.Tensor:
        """States of words behind prompts, (R, L, D), from the cache."""
        ...

    def read_again(self, prompts_R: torch.Tensor, words_RL: torch.Tensor) -> torch.Tensor:
        """The same by whole forwards."""
        ...


def can_be_shared_out(cache: Any) -> bool:
    """Whether `select_prompts` knows a cache to be all that a model keeps of its prompts."""
    if type(cache) is EncoderDecoderCache:
        return can_be_shared_out(cache.self_attention_cache) and can_be_shared_out(cache.cross_attention_cache)
    return type(cache) is DynamicCache and all(type(layer) in SHARED_OUT for layer in cache.layers)


def leaves_window(cache: Any, num_words: int) -> bool:
    """Whether so many words more do not fit into the window of some layer's attention."""
    layers = cache.self_attention_cache.layers if isinstance(cache, EncoderDecoderCache) else cache.layers
    return any(
        isinstance(layer, DynamicSlidingWindowLayer) and layer.get_seq_length() + num_words > layer.sliding_window
        for layer in layers
    )


def select_prompts(cache: Any, prompts_R: torch.Tensor) -> Any:
    """A cache of its own that holds prompt `prompts_R[r]` in row r."""
    selected = _with_own_layers(cache)
    selected.batch_select_indices(prompts_R)
    return selected


def _with_own_layers(cache: Any) -> Any:
    """A cache that holds the same tensors, until it selects or adds: both make new ones."""
    own = copy.copy(cache)
    if isinstance(cache, EncoderDecoderCache):
        own.self_attention_cache = _with_own_layers(cache.self_attention_cache)
        own.cross_attention_cache = _with_own_layers(cache.cross_attention_cache)
        own.is_updated = dict(cache.is_updated)
    else:
        own.layers = [copy.copy(layer) for layer in cache.layers]
    return own


def continues_exactly(read: ReadPrompts, words_1L: torch.Tensor) -> bool:
    """Whether the first prompt, continued from its cache, gives the states of a whole forward, up to half of the
    digits of their dtype."""
    if not can_be_shared_out(read.cache):
        logger.info("The cache of this language model cannot be shared out: candidates are scored by whole forwards.")
        return False
    first = torch.zeros(1, dtype=torch.long)
    expected, found = read.read_again(first, words_1L), read.continued(first, words_1L)
    difference = (found.float() - expected.float()).abs().max()
    tolerance = torch.finfo(expected.dtype).eps ** 0.5 * expected.float().abs().max()
    is_exact = bool(difference <= tolerance)
    if not is_exact:
        logger.info(
            "Behind its cache this language model gives states %.2g off those of a whole forward, expected at most "
            "%.2g: candidates are scored by whole forwards.",
            difference,
            tolerance,
        )
    return is_exact
