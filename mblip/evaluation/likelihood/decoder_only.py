"""Prompts as a decoder-only model reads them: one sequence with its continuation, the prompt's keys and values kept.

Shape suffixes: B = prompts, T = prompt tokens, K = words of the lead, R = rows, L = words of a row, D = width of the
language model.
"""

import torch

from .prompt_batch import PromptBatch, ScoringModel
from .prompt_cache import select_prompts


class DecoderOnlyPrompts:
    """Prompts that a decoder-only model has read, with the lead (B, K) of their candidates; see `ReadPrompts`."""

    def __init__(self, model: ScoringModel, prompts: PromptBatch, leads_BK: torch.Tensor) -> None:
        self.model, self.prompts = model, prompts
        self.read_BT = torch.cat([prompts.ids, leads_BK], dim=1)
        images = prompts.images_of(range(len(self.read_BT)))
        outputs, states_BTD = model.forward_to_head(input_ids=self.read_BT, use_cache=True, **images)
        self.states = states_BTD[:, prompts.ids.shape[1] - 1 :]
        self.cache = outputs.cache

    def continued(self, prompts_R: torch.Tensor, words_RL: torch.Tensor) -> torch.Tensor:
        """States of words behind prompts, (R, L, D). Padding behind a row's words is seen by none of them."""
        cache = select_prompts(self.cache, prompts_R)
        return self.model.forward_to_head(input_ids=words_RL, cache=cache, use_cache=True)[1]

    def read_again(self, prompts_R: torch.Tensor, words_RL: torch.Tensor) -> torch.Tensor:
        """The same by whole forwards over prompt and words."""
        ids_RT = torch.cat([self.read_BT[prompts_R], words_RL], dim=1)
        images = self.prompts.images_of(prompts_R.tolist())
        _, states_RTD = self.model.forward_to_head(input_ids=ids_RT, use_cache=False, **images)
        return states_RTD[:, self.read_BT.shape[1] :]
