"""How long a batch of prompts becomes: what transformers' `padding`, `truncation`, `max_length` and others mean here.

`tokenizer.pad` is not used, since it warns against itself for fast tokenizers and cannot pad where there is no pad
token.
"""

from dataclasses import dataclass
from typing import Any

from transformers.tokenization_utils_base import TruncationStrategy
from transformers.utils import PaddingStrategy

UNLIMITED = 10**20  # a tokenizer's `model_max_length` above this means none (transformers' LARGE_INTEGER)


@dataclass(frozen=True)
class PaddedLength:
    """`pad_to`: a length, None for the longest prompt's, 0 for no padding. `cut_at`: None for no cutting."""

    tokenizer: Any
    pad_to: int | None
    cut_at: int | None
    multiple_of: int
    side: str

    @classmethod
    def from_kwargs(cls, tokenizer: Any, text_kwargs: dict[str, Any]) -> "PaddedLength":
        """Read transformers' text arguments. As there, `max_length` alone, without padding or truncation, cuts.

        Raises:
            ValueError: an argument has a value that transformers does not know, or padding to `max_length` has none.
        """
        padding, truncation = _padding(text_kwargs.get("padding")), text_kwargs.get("truncation")
        max_length = text_kwargs.get("max_length")
        is_padded = padding != PaddingStrategy.DO_NOT_PAD
        is_cut = _is_truncation(truncation) or (truncation is None and max_length is not None and not is_padded)
        if max_length is None and tokenizer.model_max_length < UNLIMITED:
            max_length = tokenizer.model_max_length
        if max_length is None and padding == PaddingStrategy.MAX_LENGTH:
            raise ValueError(
                "`padding='max_length'` came without `max_length`, and the tokenizer has no limit of its own. Give "
                "`max_length`, or `padding=True` for the length of the longest prompt."
            )
        pad_to = {PaddingStrategy.DO_NOT_PAD: 0, PaddingStrategy.MAX_LENGTH: max_length}.get(padding)
        return cls(
            tokenizer,
            pad_to=pad_to,
            cut_at=max_length if is_cut else None,
            multiple_of=text_kwargs.get("pad_to_multiple_of") or 1,
            side=_side(text_kwargs.get("padding_side") or tokenizer.padding_side),
        )

    def length(self, rows: list[list[Any]]) -> int:
        """The length that every row shorter than it gets."""
        if self.pad_to == 0 or not rows:
            return 0
        longest = self.pad_to if self.pad_to is not None else max(len(row) for row in rows)
        return -(-longest // self.multiple_of) * self.multiple_of

    def check_one_length(self, rows: list[list[Any]]) -> None:
        """Raise ValueError unless the rows, filled up, make one tensor."""
        lengths = sorted(max(len(row), self.length(rows)) for row in rows)
        if lengths and lengths[0] != lengths[-1]:
            remedy = "`padding=True`" if self.pad_to == 0 else "`truncation=True`, or `padding=True` without a length"
            raise ValueError(
                f"The prompts have {lengths[0]} to {lengths[-1]} tokens, `<image>` tokens included, which make no one "
                f"tensor. Give {remedy}; without `return_tensors` they come out as lists."
            )

    def pad_id(self, rows: list[list[int]]) -> int:
        """The id to pad with. Without a pad token the end-of-text token serves: the attention mask hides it."""
        length = self.length(rows)
        if all(len(row) >= length for row in rows):
            return 0  # never used
        for token_id in (self.tokenizer.pad_token_id, self.tokenizer.eos_token_id):
            if token_id is not None:
                return token_id
        raise ValueError(
            "Padding is needed, but the tokenizer has neither a pad token nor an end-of-text token. Set "
            "`tokenizer.pad_token`."
        )


def pad_prompts(rows: list[list[Any]], value: Any, target: PaddedLength) -> list[list[Any]]:
    """Fill up rows on the outer side, so that padding never stands between image and text."""
    length = target.length(rows)
    fills = [[value] * (length - len(row)) for row in rows]
    if target.side == "left":
        return [fill + row for fill, row in zip(fills, rows, strict=True)]
    return [row + fill for fill, row in zip(fills, rows, strict=True)]


def _padding(padding: bool | str | PaddingStrategy | None) -> PaddingStrategy:
    if isinstance(padding, bool) or padding is None:
        return PaddingStrategy.LONGEST if padding else PaddingStrategy.DO_NOT_PAD
    return PaddingStrategy(padding)


def _is_truncation(truncation: bool | str | TruncationStrategy | None) -> bool:
    if isinstance(truncation, bool) or truncation is None:
        return bool(truncation)
    return TruncationStrategy(truncation) != TruncationStrategy.DO_NOT_TRUNCATE


def _side(side: str) -> str:
    if side not in ("left", "right"):
        raise ValueError(f"`padding_side` is {side!r}, expected 'left' or 'right'.")
    return side
