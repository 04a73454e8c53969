"""Tokenizes candidates as training tokenizes answers, with the end-of-sequence token.

The tokens of an answer depend on only a small part of its prompt:

- without a chat template, a decoder-only model: whether the prompt ends in a space;
- with a chat template: the text after the last special token, because tokenizers split at special tokens first.

We tokenize the candidates once for all prompts that agree in this part. With 1,800 candidates this saves most of the
time.
"""

from collections.abc import Sequence

from mblip.data.example import check_characters
from mblip.data.token_ids import answer_ids, rendered_prompt, uses_chat_template

from ..model_inputs import Processor

Tokens = tuple[int, ...]


class CandidateTokens:
    """Tokenizes candidates as `MBlipCollator` tokenizes targets, without truncation.

    Args:
        processor: if its tokenizer has a chat template, candidates are rendered with it.
        is_encoder_decoder: `model.config.is_encoder_decoder`.

    Raises:
        ValueError: the tokenizer has no end-of-sequence token.
    """

    def __init__(self, processor: Processor, *, is_encoder_decoder: bool) -> None:
        tokenizer = processor.tokenizer
        if tokenizer.eos_token_id is None:
            raise ValueError(
                "The tokenizer has no eos_token, but the likelihood of an answer includes its end. Set the eos_token "
                "that the model was trained with."
            )
        self.processor, self.is_encoder_decoder = processor, is_encoder_decoder
        self.uses_chat_template = uses_chat_template(processor)
        self._made: dict[tuple[str, str], Tokens] = {}

    def of(self, prompt: str, num_images: int, candidates: Sequence[str]) -> tuple[Tokens, ...]:
        """The tokens of each candidate as an answer to `prompt` with `num_images` images; at least one each.

        Raises:
            ValueError: there is no candidate, or one is blank.
        """
        if not candidates or not all(candidate.strip() for candidate in candidates):
            raise ValueError(
                f"Found the candidates {list(candidates)[:5]} for the prompt {prompt!r}, expected at least one and "
                "no blank ones. Remove blank candidates."
            )
        for candidate in candidates:
            check_characters(candidate, name=f"A candidate for the prompt {prompt!r}")
        ending = self._ending(prompt, num_images)
        if self.uses_chat_template and not self._is_made_alike(ending, prompt, num_images, candidates[0]):
            return self._tokens(prompt, num_images, candidates)
        if missing := [each for each in dict.fromkeys(candidates) if (ending, each) not in self._made]:
            made = self._tokens(prompt, num_images, missing)
            self._made |= {(ending, candidate): tokens for candidate, tokens in zip(missing, made, strict=True)}
        return tuple(self._made[ending, candidate] for candidate in candidates)

    def _ending(self, prompt: str, num_images: int) -> str:
        """The part of the prompt that the tokens of an answer depend on (see the module's docstring)."""
        if not self.uses_chat_template:
            is_parted = not prompt or prompt[-1].isspace()
            return "" if self.is_encoder_decoder or is_parted else " "
        rendered = rendered_prompt(self.processor, prompt, num_images)
        specials = (str(token) for token in self.processor.tokenizer.added_tokens_decoder.values())
        return rendered[max((rendered.rfind(special) for special in specials), default=0) :]

    def _is_made_alike(self, ending: str, prompt: str, num_images: int, candidate: str) -> bool:
        """Whether a candidate has the same tokens after this prompt as after an earlier one with the same ending.

        A chat template may look at the whole prompt, so we check one candidate.
        """
        (found,) = self._tokens(prompt, num_images, [candidate])
        return self._made.setdefault((ending, candidate), found) == found

    def _tokens(self, prompt: str, num_images: int, candidates: Sequence[str]) -> tuple[Tokens, ...]:
        ids = answer_ids(
            self.processor,
            prompt,
            num_images,
            candidates,
            is_encoder_decoder=self.is_encoder_decoder,
            use_chat_template=self.uses_chat_template,
        )
        return tuple(map(tuple, ids))
