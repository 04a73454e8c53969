"""Prompts that a model has read once, to be continued by many candidates.

An encoder-decoder reads them in its encoder, and its decoder alone goes on with a candidate; a decoder-only model
reads one sequence, whose prompt is kept as keys and values. Prompts are read in batches of one length, without
padding, so that no result depends on it.

transformers' caches of attention hold one entry per prompt, which rows can share out. Recurrent layers keep a state
instead, and their caches select rows of it wrongly or not at all (Falcon-H1, Mamba); others are of kinds of their own.
Kinds are therefore named here, and a model of a known kind is still held against itself: once, and again wherever a
prompt is longer than the window of its attention, which some forget where several tokens come at once (Moshi).

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

from ..model_inputs import Model

logger = logging.getLogger(__name__)

SHARED_OUT = (DynamicLayer, DynamicSlidingWindowLayer)


class ScoringModel(Model, Protocol):
    """What is asked of the model beside generation."""

    def forward_to_head(self, **inputs: Any) -> tuple[Any, torch.Tensor]: ...

    def logits_from_states(self, states: torch.Tensor) -> torch.Tensor: ...

    def place_images(self, input_ids: torch.Tensor, **inputs: Any) -> tuple[torch.Tensor, Any]: ...

    def get_encoder(self) -> Any: ...


@dataclass(frozen=True)
class PromptBatch:
    """Token `ids` (B, T) of prompts, and for each the rows of `image_features` (I, Q, D) that it shows."""

    ids: torch.Tensor
    image_rows: Sequence[Sequence[int]]
    image_features: torch.Tensor | None

    def images_of(self, prompts: Sequence[int]) -> dict[str, torch.Tensor]:
        """`image_features` and `image_indices` for rows that repeat these prompts; empty without images."""
        slots = [row for prompt in prompts for row in self.image_rows[prompt]]
        if self.image_features is None or not slots:
            return {}
        used = sorted(set(slots))
        position = {row: i for i, row in enumerate(used)}
        device = self.image_features.device
        return {
            "image_features": self.image_features[torch.tensor(used, device=device)],
            "image_indices": torch.tensor([position[row] for row in slots], device=device),
        }


class ReadPrompts(Protocol):
    """Prompts of one length that a model has read, each with a lead of its candidates behind it (B prompts, K tokens
    of the lead). Rows name their prompts on the CPU, from where a cache on any device can be indexed."""

    cache: Any

    @property
    def states(self) -> torch.Tensor:
        """Hidden states behind the prompt and each token of the lead, (B, 1 + K, D)."""
        ...

    def continued(self, prompts_R: torch.Tensor, tokens_RL: torch.Tensor) -> torch.Tensor:
        """States of tokens behind prompts, (R, L, D), from the cache."""
        ...

    def read_again(self, prompts_R: torch.Tensor, tokens_RL: torch.Tensor) -> torch.Tensor:
        """The same by whole forwards."""
        ...


class EncoderDecoderPrompts:
    """Prompts that an encoder has read, and its decoder the start token and the lead (B, K) of their candidates; see
    `ReadPrompts`.

    Raises:
        ValueError: the model's configuration names no start token, with which training begins every answer.
    """

    def __init__(self, model: ScoringModel, prompts: PromptBatch, leads_BK: torch.Tensor) -> None:
        start_token_id = model.config.decoder_start_token_id
        if start_token_id is None:
            raise ValueError(
                "decoder_start_token_id is None, expected the token that the decoder begins an answer with. Set it "
                "in the model's configuration, as training needs it too."
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
        """States of tokens behind prompts, (R, L, D). None of them sees the padding behind its row."""
        return self._decode(prompts_R, tokens_RL, cache=select_prompts(self.cache, prompts_R), use_cache=True)

    def read_again(self, prompts_R: torch.Tensor, tokens_RL: torch.Tensor) -> torch.Tensor:
        """The same by the decoder's whole forwards; the encoder's output serves all."""
        tokens_RL = torch.cat([self.started_BK[prompts_R], tokens_RL], dim=1)
        return self._decode(prompts_R, tokens_RL, use_cache=False)[:, self.started_BK.shape[1] :]

    def _decode(self, prompts_R: torch.Tensor, tokens_RL: torch.Tensor, **arguments: Any) -> torch.Tensor:
        encoded = copy.copy(self.encoder_outputs)
        encoded["last_hidden_state"] = self.encoder_outputs.last_hidden_state[prompts_R]
        _, states_RLD = self.model.forward_to_head(encoder_outputs=encoded, decoder_input_ids=tokens_RL, **arguments)
        return states_RLD


class DecoderOnlyPrompts:
    """Prompts that a decoder-only model has read, with the lead (B, K) of their candidates; see `ReadPrompts`."""

    def __init__(self, model: ScoringModel, prompts: PromptBatch, leads_BK: torch.Tensor) -> None:
        self.model, self.prompts = model, prompts
        self.read_BT = torch.cat([prompts.ids, leads_BK], dim=1)
        images = prompts.images_of(range(len(self.read_BT)))
        outputs, states_BTD = model.forward_to_head(input_ids=self.read_BT, use_cache=True, **images)
        self.states = states_BTD[:, prompts.ids.shape[1] - 1 :]
        self.cache = outputs.cache

    def continued(self, prompts_R: torch.Tensor, tokens_RL: torch.Tensor) -> torch.Tensor:
        """States of tokens behind prompts, (R, L, D). None of them sees the padding behind its row."""
        cache = select_prompts(self.cache, prompts_R)
        return self.model.forward_to_head(input_ids=tokens_RL, cache=cache, use_cache=True)[1]

    def read_again(self, prompts_R: torch.Tensor, tokens_RL: torch.Tensor) -> torch.Tensor:
        """The same by whole forwards over prompt and tokens."""
        ids_RT = torch.cat([self.read_BT[prompts_R], tokens_RL], dim=1)
        images = self.prompts.images_of(prompts_R.tolist())
        _, states_RTD = self.model.forward_to_head(input_ids=ids_RT, use_cache=False, **images)
        return states_RTD[:, self.read_BT.shape[1] :]


def can_be_shared_out(cache: Any) -> bool:
    """Whether `select_prompts` knows a cache to be all that a model keeps of its prompts."""
    if type(cache) is EncoderDecoderCache:
        return can_be_shared_out(cache.self_attention_cache) and can_be_shared_out(cache.cross_attention_cache)
    return type(cache) is DynamicCache and all(type(layer) in SHARED_OUT for layer in cache.layers)


def leaves_window(cache: Any, num_tokens: int) -> bool:
    """Whether so many more tokens do not fit into the window of some layer's attention."""
    layers = cache.self_attention_cache.layers if isinstance(cache, EncoderDecoderCache) else cache.layers
    return any(
        isinstance(layer, DynamicSlidingWindowLayer) and layer.get_seq_length() + num_tokens > layer.sliding_window
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


def continues_exactly(read: ReadPrompts, tokens_1L: torch.Tensor) -> bool:
    """Whether the first prompt, continued from its cache, gives the states of a whole forward, up to half of the
    digits of their dtype."""
    if not can_be_shared_out(read.cache):
        logger.info("The cache of this language model cannot be shared out: candidates are scored by whole forwards.")
        return False
    first = torch.zeros(1, dtype=torch.long)
    expected, found = read.read_again(first, tokens_1L), read.continued(first, tokens_1L)
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
