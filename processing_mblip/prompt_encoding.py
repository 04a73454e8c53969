"""Turning prompts into token ids with image tokens, and padding them to one length.

The tokenizer knows nothing about images: we insert the `<image>` tokens into its output. So the image id need not be
in the tokenizer (mT0's 250,100 is the first free id), a saved tokenizer stays as it was published, and truncating text
never cuts an image. A prompt becomes

    [leading images] [special tokens in front, e.g. <s>] text [images] text ... [special tokens behind, e.g. </s>]

Images come before everything else, as in the training of BLIP-2, unless the text itself says `<image>` further on.
Padding is on the outside, never between image and text. We do not use `tokenizer.pad`: it warns about itself for fast
tokenizers, and fails without a pad token.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from transformers.tokenization_utils_base import TruncationStrategy
from transformers.utils import PaddingStrategy

from .control_tokens import MARK, ControlTokens, Token, unescape

IMAGE_TOKEN = "<image>"
PLACED_IMAGE = re.compile(rf"(?<!\\){IMAGE_TOKEN}")  # where a prompt places an image; `\<image>` is literal text
MAX_PADDED_TOKENS = 2**22  # of a batch; padding to more than its longest prompt stops here
UNLIMITED = 10**20  # a larger `model_max_length` means that there is no limit (transformers' LARGE_INTEGER)
NO_OFFSET = (0, 0)
LITERAL_IMAGE = f"\\{IMAGE_TOKEN}"


@dataclass(frozen=True)
class PromptPieces:
    """A prompt split at its `<image>` marks: leading marks, a piece of text, a mark, a piece, a mark, ...

    Args:
        num_leading: the number of marks before the first piece.
        written: the pieces of text as they stand in the prompt.
        starts: the position of each piece in the prompt, in characters.
    """

    num_leading: int
    written: tuple[str, ...]
    starts: tuple[int, ...]

    @property
    def texts(self) -> tuple[str, ...]:
        """The pieces of text, with `<image>` for `\\<image>`."""
        return tuple(text.replace(LITERAL_IMAGE, IMAGE_TOKEN) for text in self.written)

    @property
    def num_marks(self) -> int:
        return self.num_leading + len(self.written) - 1


def split_at_marks(prompt: str) -> PromptPieces:
    """Split a prompt at its marks. Marks at the beginning, with the spaces after them, are leading.

    Leading marks have the same effect as no marks at all.
    """
    texts, starts, position = [], [], 0
    for match in PLACED_IMAGE.finditer(prompt):
        texts.append(prompt[position : match.start()])
        starts.append(position)
        position = match.end()
    texts.append(prompt[position:])
    starts.append(position)
    num_leading = 0
    while len(texts) > 1 and not texts[0].strip():
        num_leading += 1
        texts, starts = texts[1:], starts[1:]
    if num_leading:
        stripped = texts[0].lstrip()
        starts[0] += len(texts[0]) - len(stripped)
        texts[0] = stripped
    return PromptPieces(num_leading, tuple(texts), tuple(starts))


@dataclass(frozen=True)
class EncodedPrompt:
    """Token ids of one prompt, image tokens included, and the character span of each; (0, 0) means no span."""

    input_ids: list[int]
    offsets: list[tuple[int, int]]


@dataclass(frozen=True)
class PromptEncoder:
    """Encodes prompts with a tokenizer and inserts image tokens.

    Args:
        image_ids: the tokens of one image.
        max_length: of the whole prompt in tokens, images included; None: no limit.
        max_text_tokens: of the prompt without its images, in tokens; None: no limit.
        escaped_with: the prompts were escaped with these control tokens; None: they were not.
        is_target: the prompts are targets, which some tokenizers read differently.
        split_special_tokens: the tokenizer's argument of that name; None: as the tokenizer is set.
    """

    tokenizer: Any
    image_ids: list[int]
    add_special_tokens: bool = True
    max_length: int | None = None
    max_text_tokens: int | None = None
    with_offsets: bool = False
    escaped_with: ControlTokens | None = None
    is_target: bool = False
    split_special_tokens: bool | None = None

    def encode(self, prompts: list[PromptPieces], num_images: list[int]) -> list[EncodedPrompt]:
        """The token ids of every prompt. If a prompt has no marks, its images go in front."""
        if not prompts:
            return []
        written = [text for prompt in prompts for text in prompt.written]
        texts = [text for prompt in prompts for text in prompt.texts]
        if self.escaped_with is not None:
            texts = [unescape(text) for text in texts]
        tokens = self._tokenize(texts, written)
        pieces = [[next(tokens) for _ in prompt.written] for prompt in prompts]
        key = "text_target" if self.is_target else "text"
        front, back = special_tokens_around(self.tokenizer, texts, key) if self.add_special_tokens else ([], [])
        return [
            self._join(i, prompt, mine, images, front, back)
            for i, (prompt, mine, images) in enumerate(zip(prompts, pieces, num_images, strict=True))
        ]

    def _tokenize(self, texts: list[str], written: list[str]) -> Iterator[list[Token]]:
        given: dict[str, Any] = {"text_target" if self.is_target else "text": texts}
        if self.split_special_tokens is not None:
            given["split_special_tokens"] = self.split_special_tokens
        output = self.tokenizer(
            **given,
            add_special_tokens=False,
            return_attention_mask=False,
            return_token_type_ids=False,
            return_offsets_mapping=self.with_offsets,
            verbose=False,
        )
        ids = output["input_ids"]
        offsets = output["offset_mapping"] if self.with_offsets else [[NO_OFFSET] * len(mine) for mine in ids]
        for text, plain, mine, spans in zip(written, texts, ids, offsets, strict=True):
            tokens = self._without_control_tokens(text, mine) or list(zip(mine, spans, strict=True))
            if self.with_offsets and LITERAL_IMAGE in text:
                tokens = _with_backslashes(tokens, plain)
            yield tokens

    def _without_control_tokens(self, written: str, ids: list[int]) -> list[Token]:
        """The tokens of a text in which somebody typed a control token or `\\<image>`; none for other texts."""
        holds_image_id = self.image_ids[0] in ids
        marked_image = f"{IMAGE_TOKEN[0]}{MARK}{IMAGE_TOKEN[1:]}"
        if self.escaped_with is not None and (MARK in written or holds_image_id):
            return self.escaped_with.tokens(self.tokenizer, written.replace(LITERAL_IMAGE, marked_image))
        if holds_image_id and LITERAL_IMAGE in written:  # only `<image>` is text, all else is the tokenizer's
            escaped = written.replace(MARK, MARK * 2).replace(LITERAL_IMAGE, marked_image)
            return ControlTokens.of(self.tokenizer, IMAGE_TOKEN, self.image_ids[0]).tokens(self.tokenizer, escaped)
        return []

    def _join(
        self,
        index: int,
        prompt: PromptPieces,
        pieces: list[list[Token]],
        num_images: int,
        front: list[int],
        back: list[int],
    ) -> EncodedPrompt:
        if any(token_id == self.image_ids[0] for piece in pieces for token_id, _ in piece):
            raise ValueError(
                f"The text of prompt {index} holds the token {self.image_ids[0]}, which stands for images. Change the "
                "text, give `sanitize_control_tokens=True`, or an `image_token_id` that the tokenizer never produces."
            )
        num_images = num_images if prompt.num_marks == 0 else prompt.num_marks
        num_fixed = num_images * len(self.image_ids) + len(front) + len(back)
        pieces = self._cut(index, pieces, num_images, num_fixed)
        image: list[Token] = [(token_id, NO_OFFSET) for token_id in self.image_ids]
        joined = image * (num_images - len(pieces) + 1) + [(token_id, NO_OFFSET) for token_id in front]
        for i, (piece, start) in enumerate(zip(pieces, prompt.starts, strict=True)):
            joined += image * bool(i) + [(token_id, (start + a, start + b)) for token_id, (a, b) in piece]
        joined += [(token_id, NO_OFFSET) for token_id in back]
        return EncodedPrompt([token_id for token_id, _ in joined], [span for _, span in joined])

    def _cut(self, index: int, pieces: list[list[Token]], num_images: int, num_fixed: int) -> list[list[Token]]:
        """Truncate the text, never the images, on the tokenizer's truncation side until the prompt fits."""
        max_length = self.max_length
        if self.max_text_tokens is not None:
            max_length = self.max_text_tokens + num_images * len(self.image_ids)
        if max_length is None:
            return pieces
        room = max_length - num_fixed
        if room < 0:
            raise ValueError(
                f"`max_length={max_length}` leaves no room in prompt {index}: its {num_images} image(s) of "
                f"{len(self.image_ids)} tokens and the special tokens take {num_fixed}. Give a larger `max_length`."
            )
        cuts_left = self.tokenizer.truncation_side == "left"
        kept = []
        for piece in reversed(pieces) if cuts_left else pieces:
            kept.append(piece[max(len(piece) - room, 0) :] if cuts_left else piece[:room])
            room -= len(kept[-1])
        return kept[::-1] if cuts_left else kept


def _with_backslashes(tokens: list[Token], text: str) -> list[Token]:
    """The tokens of a text with their spans in the prompt, where a backslash stands before each `<image>`."""

    def shift(position: int) -> int:
        return text.count(IMAGE_TOKEN, 0, position + len(IMAGE_TOKEN))

    return [(token_id, (start + shift(start), end + shift(end - 1))) for token_id, (start, end) in tokens]


def special_tokens_around(tokenizer: Any, texts: list[str], key: str = "text") -> tuple[list[int], list[int]]:
    """The tokens that the tokenizer adds before and after a text, such as `</s>` after (T5) or `<s>` before (Llama).

    We find them with the text "a". If the tokenizer has no token for it, we try `texts` in turn. `key` is the
    tokenizer's argument, `text` or `text_target`.
    """
    for text in ("a", *texts):
        plain = tokenizer(**{key: text}, add_special_tokens=False)["input_ids"]
        full = tokenizer(**{key: text})["input_ids"]
        for position in range(len(full) - len(plain) + 1):
            if plain and full[position : position + len(plain)] == plain:
                return full[:position], full[position + len(plain) :]
    return [], tokenizer(**{key: ""})["input_ids"]


@dataclass(frozen=True)
class PaddedLength:
    """How to pad and truncate prompts.

    Args:
        pad_to: a length in tokens; None: the longest prompt's; 0: no padding.
        cut_at: the length in tokens to truncate to; None: no truncation.
    """

    tokenizer: Any
    pad_to: int | None
    cut_at: int | None
    multiple_of: int
    side: str

    @classmethod
    def from_kwargs(cls, tokenizer: Any, text_kwargs: dict[str, Any]) -> "PaddedLength":
        """Read transformers' text arguments. As there, `max_length` without padding or truncation truncates.

        Raises:
            ValueError: transformers does not know the value of an argument, or padding to `max_length` has no
                `max_length`.
        """
        padding, truncation = _padding(text_kwargs.get("padding")), text_kwargs.get("truncation")
        max_length = _positive("max_length", text_kwargs.get("max_length"))
        is_padded = padding != PaddingStrategy.DO_NOT_PAD
        is_cut = _is_truncation(truncation) or (truncation is None and max_length is not None and not is_padded)
        if max_length is None and tokenizer.model_max_length < UNLIMITED:
            max_length = tokenizer.model_max_length
        if max_length is None and padding == PaddingStrategy.MAX_LENGTH:
            raise ValueError(
                "`padding='max_length'` came without `max_length`, and the tokenizer has no limit. Give `max_length`, "
                "or `padding=True` for the length of the longest prompt."
            )
        pad_to = {PaddingStrategy.DO_NOT_PAD: 0, PaddingStrategy.MAX_LENGTH: max_length}.get(padding)
        return cls(
            tokenizer,
            pad_to=pad_to,
            cut_at=max_length if is_cut else None,
            multiple_of=_positive("pad_to_multiple_of", text_kwargs.get("pad_to_multiple_of")) or 1,
            side=_side(text_kwargs.get("padding_side") or tokenizer.padding_side),
        )

    def length(self, rows: list[list[Any]]) -> int:
        """The length in tokens to pad to."""
        if self.pad_to == 0 or not rows:
            return 0
        longest = max(len(row) for row in rows)
        target = self.pad_to if self.pad_to is not None else longest
        length = -(-target // self.multiple_of) * self.multiple_of
        if length > longest and length * len(rows) > MAX_PADDED_TOKENS:
            raise ValueError(
                f"{len(rows)} prompt(s) of at most {longest} tokens would be padded to {length} tokens each, expected "
                f"at most {MAX_PADDED_TOKENS} in all. Give a smaller `max_length` or `pad_to_multiple_of`."
            )
        return length

    def check_one_length(self, rows: list[list[Any]]) -> None:
        """Raise ValueError unless all rows have one length after padding."""
        lengths = sorted(max(len(row), self.length(rows)) for row in rows)
        if lengths and lengths[0] != lengths[-1]:
            hint = "`padding=True`" if self.pad_to == 0 else "`truncation=True`, or `padding=True` without a length"
            raise ValueError(
                f"The prompts have {lengths[0]} to {lengths[-1]} tokens, `<image>` tokens included, expected one "
                f"length for a tensor. Give {hint}, or leave out `return_tensors` to get lists."
            )

    def pad_id(self, rows: list[list[int]]) -> int:
        """The id to pad with. Without a pad token, it is the end-of-text token, which the attention mask hides."""
        length = self.length(rows)
        if all(len(row) >= length for row in rows):
            return 0  # never used
        for token_id in (self.tokenizer.pad_token_id, self.tokenizer.eos_token_id):
            if token_id is not None:
                return token_id
        raise ValueError(
            "The prompts need padding, but the tokenizer has neither a pad token nor an end-of-text token. Set "
            "`tokenizer.pad_token`."
        )


def pad_rows(rows: list[list[Any]], value: Any, target: PaddedLength) -> list[list[Any]]:
    """Pad rows on the padding side with `value`. Padding never comes between image and text."""
    length = target.length(rows)
    fills = [[value] * (length - len(row)) for row in rows]
    if target.side == "left":
        return [fill + row for fill, row in zip(fills, rows, strict=True)]
    return [row + fill for fill, row in zip(fills, rows, strict=True)]


def _positive(name: str, value: Any) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise ValueError(f"`{name}` is {value!r:.80}, expected a whole number of at least 1.")
    return value


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
