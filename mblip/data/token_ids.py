"""Prompts and answers as token ids, of which training and evaluation make all their inputs.

A prompt becomes the very ids that the model is asked with in use, nothing padded, with room for its images. There are
two roads: `processor.encode`, or, where the language model brings its own chat template, what
`processor.apply_chat_template` gives for a message of images and text with `add_generation_prompt`. An answer is what
stands behind these ids, up to the end of sequence. By a chat template that is all that the template writes behind the
prompt once the answer stands there: the answer's text, the end of the turn, and with some templates something in front
of the text (an empty block of thoughts with Qwen3, the name of a channel with gpt-oss), which the model writes itself
in use and so has to learn.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from jinja2 import TemplateError

from .example import IMAGE_TOKEN, PLACED_IMAGE

_PROBE = "mBLIP"  # an answer that no template writes by itself
_HINT = (
    "Give `processor.tokenizer.chat_template` a template for turns of the roles `user` and `assistant` that writes a "
    "question with its answer as the question (with `add_generation_prompt`) and the answer behind it; or set it to "
    "None, to train and use the language model without."
)


class Processor(Protocol):
    """What is asked of `MBlipProcessor` in training and evaluation."""

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
    ) -> list[list[int]]: ...

    def pad(self, ids: Sequence[Sequence[int]], *, padding_side: str | None = None) -> Mapping[str, torch.Tensor]: ...


def uses_chat_template(processor: Processor, use_chat_template: bool | None = None) -> bool:
    """Whether prompts go through the chat template: as told, or with None, if the tokenizer has one.

    Raises:
        ValueError: a template is asked for, but there is none.
    """
    has_template = processor.tokenizer.chat_template is not None
    if use_chat_template and not has_template:
        raise ValueError(
            "`use_chat_template=True`, but `processor.tokenizer.chat_template` is None. Set it to the template the "
            "language model was tuned with, or leave `use_chat_template` out: a base language model has none."
        )
    return has_template if use_chat_template is None else use_chat_template


def check_chat_template(processor: Processor) -> None:
    """Try the template on a question with an answer.

    Raises:
        ValueError: the template refuses the roles user and assistant, leaves the answer out, or does not begin as the
            prompt does.
    """
    _, turn = _prompt_and_turn(processor, "?", 0, _PROBE)
    if _PROBE not in turn:
        raise ValueError(
            f"The chat template writes {turn!r} behind the prompt where the assistant's answer {_PROBE!r} was "
            f"expected, so there is nothing to learn. {_HINT}"
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
        num_images: of each prompt.
        max_text_tokens: a prompt's text is cut to so many tokens: without image tokens, and without what a chat
            template writes around the user's text. None: never cut.

    Raises:
        ValueError: a prompt says `<image>`, but another number of times than it has images.
    """
    if not use_chat_template:
        return processor.encode(list(texts), list(num_images), max_text_tokens=max_text_tokens)
    if not texts:
        return []
    if max_text_tokens is not None:
        texts = [cut_text(processor.tokenizer, text, max_text_tokens) for text in texts]
    conversations = [[user_message(text, number)] for text, number in zip(texts, num_images, strict=True)]
    rendered = _apply(processor, conversations, add_generation_prompt=True, tokenize=False)
    # As transformers has it: special tokens are added where the template writes none itself.
    bos_token = processor.tokenizer.bos_token
    writes_bos = bos_token is not None and rendered[0].startswith(bos_token)
    return processor.encode(rendered, list(num_images), add_special_tokens=not writes_bos)


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
    tokenizer = processor.tokenizer
    if use_chat_template:
        found = [_turn_ids(processor, text, num_images, answer, is_encoder_decoder) for answer in answers]
    elif is_encoder_decoder:
        found = tokenizer(text_target=list(answers), verbose=False)["input_ids"]
    else:
        # A space parts the answer from a prompt that does not end in one: the tokens of the prompt are then the same
        # as when the model is asked without an answer.
        space = "" if not text or text[-1].isspace() else " "
        parted = [space + answer for answer in answers]
        found = tokenizer(parted, add_special_tokens=False, verbose=False)["input_ids"]
    end = tokenizer.eos_token_id
    return [[*ids] if ids and ids[-1] == end else [*ids, end] for ids in found]


def answer_lead(processor: Processor) -> str:
    """What a trained model says before its answer because the template writes it there, as decoding shows it: without
    special tokens. Empty for most templates, and for those that cannot be trained with."""
    prompt, whole = _rendered(processor, "?", 0, _PROBE)
    lead, answer, _ = whole[len(prompt) :].partition(_PROBE)
    if not (whole.startswith(prompt) and answer):
        return ""
    return processor.tokenizer.decode(_ids(processor.tokenizer, lead), skip_special_tokens=True)


def user_message(text: str, num_images: int) -> dict[str, Any]:
    """The message of a prompt: its images in front, or where the text says `<image>`.

    Raises:
        ValueError: the text says `<image>`, but another number of times than there are images.
    """
    pieces = PLACED_IMAGE.split(text)
    if len(pieces) == 1:
        pieces = [""] * num_images + pieces
    if len(pieces) != num_images + 1:
        raise ValueError(
            f"The prompt {text!r} says `<image>` {len(pieces) - 1} time(s), but {num_images} image(s) came with it. "
            "Give one image for each `<image>`, or leave out all of them to have the images in front."
        )
    content: list[dict[str, Any]] = []
    for i, piece in enumerate(pieces):
        content += [{"type": "image"}] if i else []
        content += [{"type": "text", "text": piece}] if piece else []
    return {"role": "user", "content": content}


def cut_text(tokenizer: Any, text: str, max_tokens: int) -> str:
    """A user's text shortened to at most `max_tokens` tokens, from the side the tokenizer cuts at. `<image>` marks
    stay and do not count."""
    pieces = PLACED_IMAGE.split(text)
    sizes = [len(_ids(tokenizer, piece)) for piece in pieces]
    if sum(sizes) <= max_tokens:
        return text
    cuts_left, room = tokenizer.truncation_side == "left", max_tokens
    for i in reversed(range(len(pieces))) if cuts_left else range(len(pieces)):
        if sizes[i] > room:
            pieces[i] = _cut_piece(tokenizer, pieces[i], room, cuts_left=cuts_left)
            sizes[i] = len(_ids(tokenizer, pieces[i]))
        room -= sizes[i]
    return IMAGE_TOKEN.join(pieces)


def _cut_piece(tokenizer: Any, piece: str, max_tokens: int, *, cuts_left: bool) -> str:
    """The longest end or beginning of a piece of text that is no longer than `max_tokens`."""

    def part(num_characters: int) -> str:
        return piece[len(piece) - num_characters :] if cuts_left else piece[:num_characters]

    sizes = range(len(piece) + 1)
    return part(bisect_right(sizes, max_tokens, lo=1, key=lambda size: len(_ids(tokenizer, part(size)))) - 1)


def _turn_ids(processor: Processor, text: str, num_images: int, answer: str, is_encoder_decoder: bool) -> list[int]:
    """The tokens of the assistant's turn behind the prompt, up to the last end of sequence if the template writes one.

    Read off the whole conversation's tokens where these begin with the prompt's; where the tokenizer joins the end of
    the prompt with the answer's beginning, the turn is tokenized by itself, since in use the prompt stands alone.
    """
    tokenizer = processor.tokenizer
    prompt, turn = _prompt_and_turn(processor, text, num_images, answer)
    if is_encoder_decoder:
        ids = list(tokenizer(text_target=turn, verbose=False)["input_ids"])
    else:
        before, whole = (_ids(tokenizer, rendered) for rendered in (prompt, prompt + turn))
        ids = whole[len(before) :] if whole[: len(before)] == before else _ids(tokenizer, turn)
    ends = [i for i, token_id in enumerate(ids) if token_id == tokenizer.eos_token_id]
    return ids[: ends[-1] + 1] if ends else ids


def _prompt_and_turn(processor: Processor, text: str, num_images: int, answer: str) -> tuple[str, str]:
    """What the template writes for the question, and what behind it once the answer stands there."""
    prompt, whole = _rendered(processor, text, num_images, answer)
    if not whole.startswith(prompt):
        raise ValueError(
            f"The chat template ends the prompt with {prompt[-80:]!r}, but question and answer together, "
            f"{whole[-160:]!r}, do not begin with the prompt: what the model is asked in use would not be what it is "
            f"trained on. {_HINT}"
        )
    return prompt, whole[len(prompt) :]


def _rendered(processor: Processor, text: str, num_images: int, answer: str) -> tuple[str, str]:
    """The prompt, and question and answer together."""
    question = user_message(text, num_images)
    reply = {"role": "assistant", "content": [{"type": "text", "text": answer}]}
    prompt = _apply(processor, [question], add_generation_prompt=True, tokenize=False)
    return prompt, _apply(processor, [question, reply], tokenize=False)


def _apply(processor: Processor, conversation: list[Any], **kwargs: Any) -> Any:
    try:
        return processor.apply_chat_template(conversation, **kwargs)
    except TemplateError as error:
        raise ValueError(f"The chat template refuses a question and its answer: {error}. {_HINT}") from error


def _ids(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])
