"""Constrained generation: `generate` may write candidates only.

    inputs = prompt_tensors(model, processor, ids)
    allowed = candidates_only(model, processor, prompts, candidates, num_images=[1, 1], input_ids=inputs["input_ids"])
    ids_BL = model.generate(**inputs, prefix_allowed_tokens_fn=allowed, max_new_tokens=allowed.max_new_tokens)
    allowed.chosen(ids_BL)

The candidates' tokens (candidate_tokens.py) form a prefix tree. Greedy decoding takes the most likely next token, so
it may choose another candidate than `rank`. With as many beams as candidates and `length_penalty=0`, `generate`
chooses the candidate with the highest sum, as `rank` does.

Shape suffixes: B = prompts, T = prompt tokens, L = new tokens.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import torch

from ..model_inputs import Model, Processor
from .candidate_tokens import CandidateTokens, Tokens
from .ranking import candidates_of_each

Tree = dict[int, Any]  # token -> the tree behind it; token that ends -> the candidate's number


class CandidatesOnly:
    """A `prefix_allowed_tokens_fn` for transformers' `generate` that allows the tokens of candidates only.

    Args:
        trees: the prefix tree of each prompt's candidates.
        num_given: how many of the `input_ids` that `generate` passes stand before the answer.
        end_token_id: the token to write after an answer has ended, or after beam search has dropped it.
        max_new_tokens: the length of the longest candidate.
    """

    def __init__(self, trees: Sequence[Tree], *, num_given: int, end_token_id: int, max_new_tokens: int) -> None:
        self.trees, self.num_given, self.end_token_id = trees, num_given, end_token_id
        self.max_new_tokens = max_new_tokens

    def __call__(self, batch_id: int, input_ids: torch.Tensor) -> list[int]:
        """The tokens that may follow `input_ids` in an answer to prompt `batch_id`."""
        position = self._follow(self.trees[batch_id], input_ids[self.num_given :].tolist())
        return list(position) if isinstance(position, dict) else [self.end_token_id]

    def chosen(self, ids_BL: torch.Tensor, *, begins_with_start: bool) -> list[int | None]:
        """The number of the candidate that `generate` chose for each prompt; None if the answer was cut.

        Args:
            begins_with_start: `model.config.is_encoder_decoder`: answers then begin with the start token.
        """
        rows = ids_BL[:, 1:].tolist() if begins_with_start else ids_BL.tolist()
        positions = [self._follow(tree, row) for tree, row in zip(self.trees, rows, strict=True)]
        return [position if isinstance(position, int) else None for position in positions]

    @staticmethod
    def _follow(tree: Tree, tokens: Sequence[int]) -> Tree | int | None:
        """The subtree after these tokens, the number of a complete candidate, or None if no candidate starts so."""
        position: Tree | int | None = tree
        for token in tokens:
            if not isinstance(position, dict):
                break
            position = position.get(token)
        return position


def candidates_only(
    model: Model,
    processor: Processor,
    prompts: Sequence[str],
    candidates: Sequence[str] | Sequence[Sequence[str]],
    *,
    num_images: Sequence[int],
    input_ids: torch.Tensor,
) -> CandidatesOnly:
    """Restrict `generate` to answering each prompt with one of its candidates.

    Args:
        candidates: one list for all prompts, or one list per prompt.
        num_images: the number of images of each prompt.
        input_ids: (B, T), the padded prompts that you pass to `generate`.

    Raises:
        ValueError: generation does not stop at the tokenizer's eos_token, or forces a first token.
    """
    ends = _end_token_ids(model, processor)
    tokens = CandidateTokens(processor, is_encoder_decoder=model.config.is_encoder_decoder)
    each = candidates_of_each(candidates, len(prompts))
    make_tree = cache(lambda answers: _tree(answers, ends))
    answers = [tokens.of(*one) for one in zip(prompts, num_images, each, strict=True)]
    return CandidatesOnly(
        [make_tree(mine) for mine in answers],
        num_given=1 if model.config.is_encoder_decoder else input_ids.shape[1],
        end_token_id=processor.tokenizer.eos_token_id,
        max_new_tokens=max(len(answer) for mine in answers for answer in mine),
    )


def _tree(answers: Sequence[Tokens], ends: frozenset[int]) -> Tree:
    """The prefix tree of candidates, each up to its first end token. Of equal candidates the first counts."""
    tree: Tree = {}
    for number, answer in enumerate(answers):
        position = tree
        for token in answer:
            if token in ends:
                position.setdefault(token, number)
                break
            position = position.setdefault(token, {})
    return tree


def _end_token_ids(model: Model, processor: Processor) -> frozenset[int]:
    """The tokens at which `generate` ends an answer."""
    config, eos_token_id = model.generation_config, processor.tokenizer.eos_token_id
    ends = torch.tensor([] if config.eos_token_id is None else config.eos_token_id).flatten().tolist()
    if eos_token_id not in ends:
        raise ValueError(
            f"Training ends an answer with the token {eos_token_id}, but generation_config.eos_token_id is "
            f"{config.eos_token_id}: generation would not stop after a candidate. Add the token there."
        )
    if config.forced_bos_token_id is not None:
        raise ValueError(
            f"generation_config.forced_bos_token_id is {config.forced_bos_token_id}, expected None, because no "
            "candidate begins with that token. Set it to None, or rank the candidates."
        )
    return frozenset(int(end) for end in ends)
