"""Prompts and answers as token ids. Training and evaluation build all their inputs from these.

A prompt becomes exactly the ids that the model gets at inference, unpadded, with its image tokens. Without a chat
template they come from `processor.encode`. If the language model has a chat template, they come from
`processor.apply_chat_template` with `add_generation_prompt`, for a message of images and text.

An answer is the ids that follow the prompt, up to the end of sequence. With a chat template, these are all the ids
that the template writes after the prompt: the answer and the end of the turn. Some templates also write text before
the answer, such as an empty thinking block (Qwen3) or a channel name (gpt-oss). At inference the model must write that
itself, so it learns it too.

The text of prompts and answers is text: `</s>` or `<|im_end|>` in it is spelled with ordinary tokens. Only a chat
template writes control tokens.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch

from processing_mblip.control_tokens import MARK

from .example import IMAGE_TOKEN, PLACED_IMAGE

_PROBE = "mBLIP"  # a test answer that no template contains
_HINT = (
    "Set `processor.tokenizer.chat_template` to a template that writes `user` and `assistant` turns as the prompt "
    "followed by the answer, or to None."
)


class Processor(Protocol):
    """The part of `MBlipProcessor` that training and evaluation need."""

    tokenizer: Any

    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...

    def apply_chat_template(self, conversation: Any, **kwargs: Any) -> Any: ...

    def encode(
        self,
        texts: list[str],
        num_images: list[int],
        *,
        max_text_tokens: int | None = None,
        add_special_tokens: bool = True,
        is_escaped: bool = False,
        is_target: bool = False,
    ) -> list[list[int]]: ...

    def escape(self, texts: Sequence[str]) -> list[str]: ...

    def pad(self, ids: Sequence[Sequence[int]], *, padding_side: str | None = None) -> Mapping[str, torch.Tensor]: ...


def uses_chat_template(processor: Processor, use_chat_template: bool | None = None) -> bool:
    """Whether prompts go through the chat template. None: if the tokenizer has one.

    Raises:
        ValueError: a template is asked for, but there is none.
    """
    has_template = processor.tokenizer.chat_template is not None
    if use_chat_template and not has_template:
        raise ValueError(
            "`use_chat_template=True`, but `processor.tokenizer.chat_template` is None. Set it to the "
            "language model's template, or leave `use_chat_template` unset (base language models have none)."
        )
    return has_template if use_chat_template is None else use_chat_template


def check_chat_template(processor: Processor) -> None:
    """Try the chat template on a question with an answer.

    Raises:
        ValueError: the template refuses the roles user and assistant, omits the answer, or writes the prompt
            differently when an answer follows.
    """
    _, turn = _prompt_and_turn(processor, "?", 0, _PROBE)
    if _PROBE not in turn:
        raise ValueError(
            f"The chat template writes {turn!r} after the prompt, expected the answer {_PROBE!r} in it. {_HINT}"
        )


def prompt_ids(
    processor: Processor,
    texts: Sequence[str],
    num_images: Sequence[int],
    *,
    use_chat_template: bool,
    max_text_tokens: int | None = None,
) -> list[list[int]]:
    """The token ids of each prompt, image tokens included.

    Args:
        num_images: the number of images of each prompt.
        max_text_tokens: the most tokens of a prompt's text. Image tokens do not count, nor what a chat template writes
            around the user's text. None: never cut.
    Raises:
        ValueError: a prompt holds `<image>`, but not once per image.
    """
    if not use_chat_template:
        return processor.encode(list(texts), list(num_images), max_text_tokens=max_text_tokens)
    if not texts:
        return []
    if max_text_tokens is not None:
        texts = [cut_text(processor.tokenizer, text, max_text_tokens) for text in texts]
    conversations = [[_question(processor, text, number)] for text, number in zip(texts, num_images, strict=True)]
    rendered = _apply(processor, conversations, add_generation_prompt=True, tokenize=False)
    # As in transformers: special tokens are added if the template writes none.
    bos_token = processor.tokenizer.bos_token
    writes_bos = bos_token is not None and rendered[0].startswith(bos_token)
    return processor.encode(rendered, list(num_images), add_special_tokens=not writes_bos, is_escaped=True)


def rendered_prompt(processor: Processor, text: str, num_images: int) -> str:
    """What the chat template writes for a prompt, with the user's text escaped."""
    question = _question(processor, text, num_images)
    return str(_apply(processor, [question], add_generation_prompt=True, tokenize=False))


def answer_ids(
    processor: Processor,
    text: str,
    num_images: int,
    answers: Sequence[str],
    *,
    is_encoder_decoder: bool,
    use_chat_template: bool,
) -> list[list[int]]:
    """The token ids of answers to one prompt, each with its end of sequence.

    Args:
        text, num_images: the prompt's.
    Raises:
        ValueError: as `check_chat_template`.
    """
    if use_chat_template:
        found = [_turn_ids(processor, text, num_images, answer, is_encoder_decoder) for answer in answers]
    elif is_encoder_decoder:
        found = _ids(processor, processor.escape(answers), is_target=True)
    else:
        # A space separates the answer from a prompt that does not end in one. The prompt's tokens are then the same
        # as without an answer.
        space = "" if not text or text[-1].isspace() else " "
        found = _ids(processor, processor.escape([space + answer for answer in answers]))
    return [_ended(ids, processor.tokenizer.eos_token_id) for ids in found]


def answer_lead(processor: Processor) -> str:
    """The text that a trained model writes before its answer because the template does, without special tokens.

    Empty for most templates, and for those that cannot be trained with.
    """
    prompt, whole = _rendered(processor, "?", 0, _PROBE)
    lead, answer, _ = whole[len(prompt) :].partition(_PROBE)
    if not (whole.startswith(prompt) and answer):
        return ""
    return processor.tokenizer.decode(_ids(processor, [lead])[0], skip_special_tokens=True)


def user_message(text: str, num_images: int) -> dict[str, Any]:
    """The message of a prompt, with its images first, or where the text holds `<image>`.

    Raises:
        ValueError: the text holds `<image>`, but not once per image.
    """
    pieces = PLACED_IMAGE.split(text)
    if len(pieces) == 1:
        pieces = [""] * num_images + pieces
    if len(pieces) != num_images + 1:
        raise ValueError(
            f"The prompt {text!r} holds `<image>` {len(pieces) - 1} time(s), but has {num_images} image(s). "
            "Give one image per `<image>`, or remove them all to put the images first."
        )
    content: list[dict[str, Any]] = []
    for i, piece in enumerate(pieces):
        content += [{"type": "image"}] if i else []
        content += [{"type": "text", "text": piece}] if piece else []
    return {"role": "user", "content": content}


def cut_text(tokenizer: Any, text: str, max_tokens: int) -> str:
    """A user's text cut to at most `max_tokens` tokens, on the tokenizer's truncation side.

    `<image>` stays and does not count.
    """
    pieces = PLACED_IMAGE.split(text)
    sizes = [_size(tokenizer, piece) for piece in pieces]
    if sum(sizes) <= max_tokens:
        return text
    cuts_left, room = tokenizer.truncation_side == "left", max_tokens
    for i in reversed(range(len(pieces))) if cuts_left else range(len(pieces)):
        if sizes[i] > room:
            pieces[i] = _cut_piece(tokenizer, pieces[i], room, cuts_left=cuts_left)
            sizes[i] = _size(tokenizer, pieces[i])
        room -= sizes[i]
    return IMAGE_TOKEN.join(pieces)


def _cut_piece(tokenizer: Any, piece: str, max_tokens: int, *, cuts_left: bool) -> str:
    """The longest end or beginning of `piece` with at most `max_tokens` tokens."""

    def part(num_characters: int) -> str:
        return piece[len(piece) - num_characters :] if cuts_left else piece[:num_characters]

    lengths = range(len(piece) + 1)
    return part(bisect_right(lengths, max_tokens, lo=1, key=lambda length: _size(tokenizer, part(length))) - 1)


def _size(tokenizer: Any, text: str) -> int:
    return len(tokenizer(text, add_special_tokens=False, split_special_tokens=True, verbose=False)["input_ids"])


def _turn_ids(processor: Processor, text: str, num_images: int, answer: str, is_encoder_decoder: bool) -> list[int]:
    """The tokens of what follows the prompt: the assistant's turn.

    We take them from the tokens of the whole conversation if these begin with the prompt's tokens. The tokenizer may
    merge the prompt's end with the answer's start. We then tokenize the turn by itself, because the prompt stands
    alone at inference.
    """
    prompt, turn = _prompt_and_turn(processor, text, num_images, answer)
    if is_encoder_decoder:
        return _ids(processor, [turn], is_target=True)[0]
    before, whole, alone = _ids(processor, [prompt, prompt + turn, turn])
    return whole[len(before) :] if whole[: len(before)] == before else alone


def _ended(ids: list[int], end: int) -> list[int]:
    """Ids up to their first end of sequence, which is added if there is none.

    Behind it a template or a tokenizer may write more, such as line breaks, another end, or a language (mBART).
    """
    start = int(len(ids) > 1)  # a turn that begins with an end goes on
    return ids[: ids.index(end, start) + 1] if end in ids[start:] else [*ids, end]


def _prompt_and_turn(processor: Processor, text: str, num_images: int, answer: str) -> tuple[str, str]:
    """What the template writes for the question, and what follows it once there is an answer."""
    prompt, whole = _rendered(processor, text, num_images, answer)
    if not whole.startswith(prompt):
        raise ValueError(
            f"The chat template ends the prompt with {prompt[-80:]!r}, but the text with the answer, "
            f"{whole[-160:]!r}, does not begin with the prompt. {_HINT}"
        )
    return prompt, whole[len(prompt) :]


def _rendered(processor: Processor, text: str, num_images: int, answer: str) -> tuple[str, str]:
    """The prompt, and the prompt with the answer."""
    question = _question(processor, text, num_images)
    reply = {"role": "assistant", "content": [{"type": "text", "text": processor.escape([answer])[0]}]}
    prompt = _apply(processor, [question], add_generation_prompt=True, tokenize=False)
    return prompt, _apply(processor, [question, reply], tokenize=False)


def _apply(processor: Processor, conversation: list[Any], **kwargs: Any) -> Any:
    try:
        return processor.apply_chat_template(conversation, **kwargs)
    except ValueError as error:
        raise ValueError(f"{error}. {_HINT}") from error


def _question(processor: Processor, text: str, num_images: int) -> dict[str, Any]:
    """The message of a prompt, escaped but for the `<image>` that place images."""
    pieces = [piece.replace(f"\\{IMAGE_TOKEN}", IMAGE_TOKEN) for piece in PLACED_IMAGE.split(text)]
    return user_message(IMAGE_TOKEN.join(processor.escape(pieces)), num_images)


def _ids(processor: Processor, escaped: Sequence[str], *, is_target: bool = False) -> list[list[int]]:
    """The tokens of escaped texts, or of what a chat template wrote. Only a target gets special tokens around it."""
    if any(MARK in text for text in escaped):
        marks = [len(PLACED_IMAGE.findall(text)) for text in escaped]
        specials = {"add_special_tokens": is_target}
        return processor.encode(list(escaped), marks, **specials, is_escaped=True, is_target=is_target)
    key = "text_target" if is_target else "text"
    return processor.tokenizer(**{key: list(escaped)}, add_special_tokens=is_target, verbose=False)["input_ids"]
