"""Prompts as an encoder-decoder reads them: its encoder once each, and every candidate by the decoder alone.

Shape suffixes: B = prompts, T = prompt tokens, K = words of the lead, R = rows, L = words of a row, D = width of the
language model.
"""

import copy
from typing import Any

import torch

from .prompt_batch import PromptBatch, ScoringModel
from .prompt_cache import select_prompts


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

    def continued(self, prompts_R: torch.Tensor, words_RL: torch.Tensor) -> torch.Tensor:
        """States of words behind prompts, (R, L, D). Padding behind a row's words is seen by none of them."""
        return self._decode(prompts_R, words_RL, cache=select_prompts(self.cache, prompts_R), use_cache=True)

    def read_again(self, prompts_R: torch.Tensor, words_RL: torch.Tensor) -> torch.Tensor:
        """The same by the decoder's whole forwards; the encoder's output serves all."""
        words_RL = torch.cat([self.started_BK[prompts_R], words_RL], dim=1)
        return self._decode(prompts_R, words_RL, use_cache=False)[:, self.started_BK.shape[1] :]

    def _decode(self, prompts_R: torch.Tensor, words_RL: torch.Tensor, **arguments: Any) -> torch.Tensor:
        encoded = copy.copy(self.encoder_outputs)
        encoded["last_hidden_state"] = self.encoder_outputs.last_hidden_state[prompts_R]
        _, states_RLD = self.model.forward_to_head(encoder_outputs=encoded, decoder_input_ids=words_RL, **arguments)
        return states_RLD
