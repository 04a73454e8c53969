"""Reads prompts once, so that many candidates can continue them.

An encoder-decoder model reads prompts in its encoder; its decoder alone runs the candidates. A decoder-only model
keeps the prompt as keys and values in its cache. We read prompts of equal length together, without padding, so that
padding cannot change a result.

transformers' attention caches hold one entry per prompt, and we can copy entries to rows. Recurrent layers keep a
state instead, and their caches select rows of it wrongly or not at all (Falcon-H1, Mamba). We therefore use only the
kinds of cache in `SHARED_OUT`. Even then we compare the cached states with those of a whole forward: once per run,
and again where prompt and candidate exceed the attention window, because some models ignore the window when several
tokens come at once (Moshi).

Shape suffixes: B = prompts, T = prompt tokens, I = distinct images, Q = query tokens per image, D = width of the
language model, K = tokens of the lead, R = rows, L = tokens of a row.
"""

import copy
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer, EncoderDecoderCache

from ..model_inputs import Model, shown_features

logger = logging.getLogger(__name__)

SHARED_OUT = (DynamicLayer, DynamicSlidingWindowLayer)


class ScoringModel(Model, Protocol):
    """What scoring needs of a model beyond generation."""

    def forward_to_head(self, **inputs: Any) -> tuple[Any, torch.Tensor]: ...

    def logits_from_states(self, states: torch.Tensor) -> torch.Tensor: ...

    def place_images(self, input_ids: torch.Tensor, **inputs: Any) -> tuple[torch.Tensor, Any]: ...

    def get_encoder(self) -> Any: ...


@dataclass(frozen=True)
class PromptBatch:
    """Token `ids` (B, T) of prompts, and for each prompt the rows of `image_features` (I, Q, D) for its images."""

    ids: torch.Tensor
    image_rows: Sequence[Sequence[int]]
    image_features: torch.Tensor | None

    def images_of(self, prompts: Sequence[int]) -> dict[str, torch.Tensor]:
        """The model inputs `image_features` and `image_indices` for these prompts; empty without images."""
        return shown_features(self.image_features, [row for prompt in prompts for row in self.image_rows[prompt]])


class ReadPrompts(Protocol):
    """B prompts of equal length that a model has read, each followed by the K tokens of its candidates' lead.

    `prompts_R` gives the prompt of each row. It stays on the CPU, where it can index a cache on any device.
    """

    cache: Any

    @property
    def states(self) -> torch.Tensor:
        """Hidden states (B, 1 + K, D): the one that predicts the token after the prompt, then those of the lead."""
        ...

    def continued(self, prompts_R: torch.Tensor, tokens_RL: torch.Tensor) -> torch.Tensor:
        """States (R, L, D) of tokens that follow prompts, computed with the cache."""
        ...

    def read_again(self, prompts_R: torch.Tensor, tokens_RL: torch.Tensor) -> torch.Tensor:
        """The states that `continued` gives, computed without the cache."""
        ...


class EncoderDecoderPrompts:
    """`ReadPrompts` of an encoder-decoder: the encoder has read the prompts, the decoder its start token and the
    lead (B, K).

    Raises:
        ValueError: the model's configuration has no `decoder_start_token_id`.
    """

    def __init__(self, model: ScoringModel, prompts: PromptBatch, leads_BK: torch.Tensor) -> None:
        start_token_id = model.config.decoder_start_token_id
        if start_token_id is None:
            raise ValueError(
                "decoder_start_token_id is None, expected the token that begins every answer of the decoder. Set it "
                "in the model's configuration; training needs it, too."
            )
        self.model = model
        self.started_BK = torch.nn.functional.pad(leads_BK, (1, 0), value=start_token_id)
        images = prompts.images_of(range(len(leads_BK)))
        embeds_BTD, _ = model.place_images(prompts.ids, **images)
        # `input_ids`: FSMT's encoder has no default for it.
        self.encoder_outputs = model.get_encoder()(input_ids=None, inputs_embeds=embeds_BTD, return_dict=True)
        outputs, self.states = model.forward_to_head(
            encoder_outputs=self.encoder_outputs, decoder_input_ids=self.started_BK, use_cache=True
        )
        self.cache = outputs.cache

    def continued(self, prompts_R: torch.Tensor, tokens_RL: torch.Tensor) -> torch.Tensor:
        """States (R, L, D) of tokens that follow prompts. Attention is causal: no token sees the padding after it."""
        return self._decode(prompts_R, tokens_RL, cache=select_prompts(self.cache, prompts_R), use_cache=True)

    def read_again(self, prompts_R: torch.Tensor, tokens_RL: torch.Tensor) -> torch.Tensor:
        """The states that `continued` gives, by whole forwards of the decoder. The encoder does not run again."""
        tokens_RL = torch.cat([self.started_BK[prompts_R], tokens_RL], dim=1)
        return self._decode(prompts_R, tokens_RL, use_cache=False)[:, self.started_BK.shape[1] :]

    def _decode(self, prompts_R: torch.Tensor, tokens_RL: torch.Tensor, **arguments: Any) -> torch.Tensor:
        encoded = copy.copy(self.encoder_outputs)
        encoded["last_hidden_state"] = self.encoder_outputs.last_hidden_state[prompts_R]
        _, states_RLD = self.model.forward_to_head(encoder_outputs=encoded, decoder_input_ids=tokens_RL, **arguments)
        return states_RLD


class DecoderOnlyPrompts:
    """`ReadPrompts` of a decoder-only model, which has read each prompt and the lead (B, K) as one sequence."""

    def __init__(self, model: ScoringModel, prompts: PromptBatch, leads_BK: torch.Tensor) -> None:
        self.model, self.prompts = model, prompts
        self.read_BT = torch.cat([prompts.ids, leads_BK], dim=1)
        images = prompts.images_of(range(len(self.read_BT)))
        outputs, states_BTD = model.forward_to_head(input_ids=self.read_BT, use_cache=True, **images)
        self.states = states_BTD[:, prompts.ids.shape[1] - 1 :]
        self.cache = outputs.cache

    def continued(self, prompts_R: torch.Tensor, tokens_RL: torch.Tensor) -> torch.Tensor:
        """States (R, L, D) of tokens that follow prompts. Attention is causal: no token sees the padding after it."""
        cache = select_prompts(self.cache, prompts_R)
        return self.model.forward_to_head(input_ids=tokens_RL, cache=cache, use_cache=True)[1]

    def read_again(self, prompts_R: torch.Tensor, tokens_RL: torch.Tensor) -> torch.Tensor:
        """The states that `continued` gives, by whole forwards over prompt and tokens."""
        ids_RT = torch.cat([self.read_BT[prompts_R], tokens_RL], dim=1)
        images = self.prompts.images_of(prompts_R.tolist())
        _, states_RTD = self.model.forward_to_head(input_ids=ids_RT, use_cache=False, **images)
        return states_RTD[:, self.read_BT.shape[1] :]


def can_be_shared_out(cache: Any) -> bool:
    """Whether `select_prompts` can copy this kind of cache row by row."""
    if type(cache) is EncoderDecoderCache:
        return can_be_shared_out(cache.self_attention_cache) and can_be_shared_out(cache.cross_attention_cache)
    return type(cache) is DynamicCache and all(type(layer) in SHARED_OUT for layer in cache.layers)


def leaves_window(cache: Any, num_tokens: int) -> bool:
    """Whether `num_tokens` more tokens exceed the attention window of some layer."""
    layers = cache.self_attention_cache.layers if isinstance(cache, EncoderDecoderCache) else cache.layers
    return any(
        isinstance(layer, DynamicSlidingWindowLayer) and layer.get_seq_length() + num_tokens > layer.sliding_window
        for layer in layers
    )


def select_prompts(cache: Any, prompts_R: torch.Tensor) -> Any:
    """A new cache with prompt `prompts_R[r]` in row r."""
    selected = _with_own_layers(cache)
    selected.batch_select_indices(prompts_R)
    return selected


def _with_own_layers(cache: Any) -> Any:
    """A shallow copy of a cache. It shares the tensors; selecting or adding makes new ones."""
    own = copy.copy(cache)
    if isinstance(cache, EncoderDecoderCache):
        own.self_attention_cache = _with_own_layers(cache.self_attention_cache)
        own.cross_attention_cache = _with_own_layers(cache.cross_attention_cache)
        own.is_updated = dict(cache.is_updated)
    else:
        own.layers = [copy.copy(layer) for layer in cache.layers]
    return own


def continues_exactly(read: ReadPrompts, tokens_1L: torch.Tensor) -> bool:
    """Whether the cache gives the states of a whole forward for the first prompt.

    The tolerance is half of the digits of the states' dtype.
    """
    if not can_be_shared_out(read.cache):
        logger.info("The cache of this language model cannot be split by prompt: candidates are scored without it.")
        return False
    first = torch.zeros(1, dtype=torch.long)
    expected, found = read.read_again(first, tokens_1L), read.continued(first, tokens_1L)
    difference = (found.float() - expected.float()).abs().max()
    tolerance = torch.finfo(expected.dtype).eps ** 0.5 * expected.float().abs().max()
    is_exact = bool(difference <= tolerance)
    if not is_exact:
        logger.info(
            "With its cache this language model gives states that differ by %.2g from those of a whole forward, "
            "expected at most %.2g: candidates are scored without the cache.",
            difference,
            tolerance,
        )
    return is_exact
