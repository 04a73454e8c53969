"""MBlipProcessor: images and text to `input_ids`, `attention_mask`, `pixel_values` and, if needed, `image_indices`.

Three things are unusual. An image that is given more than once is encoded once. The image token need not be in the
tokenizer. Folders of 2023 (BLIP-2's layout, without an image token id) load as well as ours.

This file decides which prompt shows which image. A *slot* is a position in a prompt that shows an image. The sibling
files turn prompts into ids (`prompt_encoding`) and images into tensors (`image_processing_mblip`).
"""

from .supported_releases import release  # noqa: F401

# isort: split
import functools
import itertools
import numbers
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Unpack

import jinja2  # comes with torch
import torch
from huggingface_hub.errors import StrictDataclassError
from transformers.feature_extraction_utils import BatchFeature
from transformers.image_utils import ImageInput
from transformers.processing_utils import ImagesKwargs, ProcessingKwargs, ProcessorMixin, TextKwargs
from transformers.utils import TensorType, is_numpy_array, to_py_obj

from .chat_templates import EXAMPLE, check_conversation, check_messages, map_texts, with_images
from .control_tokens import ControlTokens
from .image_processing_mblip import MBlipImageProcessor, flat_list, is_array, is_list, load_upright_rgb
from .model_settings import check_agreement, check_location, read_model_settings
from .prompt_encoding import (
    IMAGE_TOKEN,
    LITERAL_IMAGE,
    EncodedPrompt,
    PaddedLength,
    PromptEncoder,
    PromptPieces,
    pad_rows,
    split_at_marks,
)

EXPECTED_TEXT = (
    "`text` must be a string or list of strings; it is the second argument, after `images`. Make a list of other "
    "sequences, `list(...)`."
)
ONE_IMAGE = str | bytes | bytearray | memoryview | os.PathLike | torch.Tensor
ALLOW_PRIVATE_URLS = "allow_private_urls"
SURROGATE = re.compile("[\ud800-\udfff]")  # half a character, which no tokenizer takes
UNSUPPORTED_TEXT_KWARGS = (
    "text_pair",
    "text_target",
    "text_pair_target",
    "stride",
    "is_split_into_words",
    "return_token_type_ids",
    "return_overflowing_tokens",
    "return_special_tokens_mask",
    "return_length",
)


class MBlipTextKwargs(TextKwargs, total=False):
    split_special_tokens: bool


class MBlipImagesKwargs(ImagesKwargs, total=False):
    allow_private_urls: bool


class MBlipProcessorKwargs(ProcessingKwargs, total=False):
    text_kwargs: MBlipTextKwargs  # type: ignore[misc]  # as in all processors of transformers
    images_kwargs: MBlipImagesKwargs  # type: ignore[misc]
    is_escaped: bool | None


@dataclass(frozen=True)
class ImageSlots:
    """The images of a batch and the slots that show them.

    Args:
        images: every distinct image once, in order of appearance.
        rows: for each slot of the batch, in reading order, the index of its image in `images`.
        num_images: the number of slots in each prompt.
    """

    images: tuple[Any, ...]
    rows: tuple[int, ...]
    num_images: tuple[int, ...]

    @property
    def is_one_to_one(self) -> bool:
        """Whether slot s shows image s for every s. `image_indices` can then be omitted."""
        return self.rows == tuple(range(len(self.images)))


class MBlipProcessor(ProcessorMixin):
    """Turns images and text into the model's inputs.

    Args:
        image_processor: a `BlipImageProcessor` is replaced by an `MBlipImageProcessor`, which gives the same values.
            Any other is used unchanged.
        tokenizer: the language model's. We never change it, and add no token.
        num_query_tokens: `<image>` tokens per image, as in the model's config.
        image_token_id: the id of `<image>`, as in the model's config. It need not be in the tokenizer. None: the id
            of the tokenizer's own `<image>`, or `len(tokenizer)` if it has none.
        chat_template: None: the tokenizer's. If it has none, messages are joined with line breaks.
    """

    valid_processor_kwargs = MBlipProcessorKwargs  # type: ignore[assignment]

    def __init__(
        self,
        image_processor: Any,
        tokenizer: Any,
        num_query_tokens: int = 32,
        image_token_id: int | None = None,
        chat_template: str | dict[str, str] | None = None,
    ) -> None:
        if (
            image_processor is not None
            and image_processor.to_dict().get("image_processor_type") == "BlipImageProcessor"
        ):
            image_processor = MBlipImageProcessor.from_dict(image_processor.to_dict())
        if hasattr(image_processor, "val_transforms"):  # timm's is saved without what it is loaded from
            image_processor.pretrained_cfg = image_processor.data_config
        super().__init__(image_processor, tokenizer, chat_template=chat_template)
        self.num_query_tokens = num_query_tokens
        self.image_token = IMAGE_TOKEN
        self.image_token_id = default_image_token_id(tokenizer) if image_token_id is None else image_token_id

    def __call__(
        self,
        images: ImageInput | None = None,
        text: str | list[str] | None = None,
        **kwargs: Unpack[MBlipProcessorKwargs],
    ) -> BatchFeature:
        """Make inputs for `forward` and `generate`.

        Args:
            images: one image, which every prompt shows; a list with one image for each prompt, or with all images of
                a single prompt; or a list of lists, with any number of images for each prompt. An image is anything
                that `load_upright_rgb` takes.
            text: a prompt or a list of prompts. Images go where the text says `<image>`, otherwise in front. None:
                return only pixel values.
            kwargs: transformers' processing arguments. `max_length` counts image tokens, too, but only text is
                truncated. By default, a control token such as `</s>` in the text is one, as in transformers.
                `split_special_tokens=True` goes to the tokenizer. With `sanitize_control_tokens=True` all of the text
                is text: control tokens, `<image>` and backslashes, too; with `is_escaped=True`, what `escape`
                returned is. `allow_private_urls=True` also fetches images from addresses such as 127.0.0.1.

        Returns:
            `input_ids` (B, T), `attention_mask` (B, T), `pixel_values` (I, 3, H, W) with every distinct image once,
            and `image_indices` (S,), the row of `pixel_values` that each image slot shows. `image_indices` is omitted
            if slot s shows row s for every s.

        Raises:
            ValueError: the numbers of images and `<image>` marks differ, an image cannot be read, a prompt holds half
                a character, `max_length` leaves no room for the images, or an argument is not supported.
            TypeError: an argument has an unsupported type.
        """
        if images is None and text is None:
            raise ValueError("Neither `images` nor `text` was given. Give at least one of them.")
        if unknown := [name for name in ("videos", "audio") if kwargs.get(name) is not None]:
            raise ValueError(f"`{unknown[0]}` was given, but mBLIP takes only images and text. Leave it out.")
        merged = self._merged(dict(kwargs))
        texts = _prompts(text)
        is_escaped = bool(merged.get("is_escaped"))
        if merged["text_kwargs"].get("sanitize_control_tokens") and not is_escaped:
            texts, is_escaped = [self.escape([text])[0] for text in texts], True
        prompts = [split_at_marks(text) for text in texts]
        if text is None:
            slots, inputs = assign_images(flat_list(images), [0]), {}
        else:
            slots = assign_images(images, [prompt.num_marks for prompt in prompts])
            inputs = self._text_inputs(prompts, slots, merged, is_escaped=is_escaped)
        if slots.images:
            inputs |= self._image_inputs(slots, merged["images_kwargs"])
            if not slots.is_one_to_one:
                inputs["image_indices"] = list(slots.rows)
        return_tensors = merged["text_kwargs"].get("return_tensors")
        return BatchFeature(inputs, tensor_type=return_tensors, skip_tensor_conversion=self.skip_tensor_conversion)

    def encode(
        self,
        texts: list[str],
        num_images: list[int],
        *,
        max_text_tokens: int | None = None,
        add_special_tokens: bool = True,
        is_escaped: bool = False,
        is_target: bool = False,
    ) -> list[list[int]]:
        """The token ids of prompts, image tokens included, without padding. They equal those of a call with images.

        Training and evaluation build their inputs with it, so a control token such as `</s>` in a prompt is text.

        Args:
            texts: prompts. Images go where a prompt says `<image>`, otherwise in front.
            num_images: the number of images of each prompt.
            max_text_tokens: truncate text to this number of tokens per prompt. Special tokens count, image tokens do
                not.
            is_escaped: only what `escape` returned is text: a chat template's control tokens stay control tokens.
            is_target: the texts are targets, which some tokenizers read differently (`text_target`).

        Raises:
            ValueError: the number of `<image>` in a prompt is neither 0 nor its number of images, or
                `max_text_tokens` leaves no room for the special tokens.
        """
        if len(texts) != len(num_images):
            raise ValueError(
                f"{len(texts)} texts came with {len(num_images)} numbers of images, expected one for each."
            )
        prompts = [split_at_marks(prompt) for prompt in _prompts(texts)]
        for i, (prompt, number) in enumerate(zip(prompts, num_images, strict=True)):
            check_marks(i, prompt.num_marks, number)
        control_tokens = self._control_tokens()
        if not is_escaped and control_tokens.are_in([text for prompt in prompts for text in prompt.texts]):
            prompts = [replace(prompt, written=tuple(control_tokens.escape(prompt.texts))) for prompt in prompts]
        encoder = PromptEncoder(
            self.tokenizer,
            image_ids=[self.image_token_id] * self.num_query_tokens,
            add_special_tokens=add_special_tokens,
            max_text_tokens=max_text_tokens,
            escaped_with=control_tokens,
            is_target=is_target,
        )
        return [encoded.input_ids for encoded in encoder.encode(prompts, list(num_images))]

    def escape(self, texts: Sequence[str]) -> list[str]:
        """The texts of one user or message, marked so that `encode(is_escaped=True)` reads all of them as text.

        Control tokens in them, also those that they would form together, and `<image>` are then spelled with ordinary
        tokens. Texts without any come back as they are.
        """
        return self._control_tokens().escape(texts)

    def _control_tokens(self, chat_template: str | None = None) -> ControlTokens:
        templates = f"{chat_template}{self.chat_template}{self.tokenizer.chat_template}"
        return ControlTokens.of(self.tokenizer, IMAGE_TOKEN, self.image_token_id, templates)

    def apply_chat_template(
        self,
        conversation: Any,
        chat_template: str | None = None,
        tools: list[Any] | None = None,
        documents: list[Any] | None = None,
        *args: Any,
        sanitize_control_tokens: bool = False,
        processor_kwargs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """As in transformers, but `<image>` in a text is text: images are parts of their own.

        Args:
            sanitize_control_tokens: control tokens in messages, tools, documents and the template's variables are
                text, also those that are typed in two parts.

        Raises:
            ValueError: a message has no role or content, a part is neither text nor an image, or the template refuses
                the conversation.
            TypeError: the conversation is no list of messages.
        """
        processor_kwargs = {**(processor_kwargs or {})}
        check_nested(processor_kwargs)
        if sanitize_control_tokens:
            if not kwargs.get("tokenize") or kwargs.get("return_assistant_tokens_mask"):
                raise ValueError(
                    "`sanitize_control_tokens=True` needs `tokenize=True`, and goes without "
                    "`return_assistant_tokens_mask=True`. Change these arguments."
                )
            conversations, is_batched = self._checked_conversations(conversation)
            given = [conversations, tools, documents, kwargs]
            texts: list[str] = []
            map_texts(given, texts.append)
            control_tokens = self._control_tokens(chat_template)
            if control_tokens.are_in(texts):
                conversations, tools, documents, kwargs = map_texts(given, control_tokens.marked)
            conversation = conversations if is_batched else conversations[0]
            processor_kwargs["is_escaped"] = True
        kwargs["processor_kwargs"] = processor_kwargs
        try:
            return super().apply_chat_template(conversation, chat_template, tools, documents, *args, **kwargs)
        except jinja2.TemplateError as error:
            raise ValueError(f"The chat template refuses the conversation: {error}") from error

    def _normalize_conversations(self, conversation: Any) -> tuple[list[Any], bool]:
        conversations, is_batched = self._checked_conversations(conversation)
        return map_texts(conversations, lambda text: text.replace(IMAGE_TOKEN, LITERAL_IMAGE)), is_batched

    def _checked_conversations(self, conversation: Any) -> tuple[list[Any], bool]:
        """transformers' list of conversations of dicts, and whether there were several."""
        check_conversation(conversation)
        try:
            conversations, is_batched = super()._normalize_conversations(conversation)
        except AttributeError as error:  # transformers 5.24 takes objects as messages, 5.23 does not
            raise TypeError(f"A message is no dict ({error}), expected one such as {EXAMPLE}.") from error
        for i, messages in enumerate(conversations):
            check_messages(messages, f" of conversation {i}" if is_batched else "")
        return conversations, is_batched

    def pad(self, ids: Sequence[Sequence[int]], *, padding_side: str | None = None) -> dict[str, torch.Tensor]:
        """Pad prompts from `encode` to the longest: `input_ids` (B, T) and `attention_mask` (B, T).

        Args:
            padding_side: "left" or "right"; None: the tokenizer's side, which suits the language model.

        Raises:
            ValueError: a token id is negative or no whole number, or the prompts differ in length, but the tokenizer
                has neither a pad nor an end-of-text token.
        """
        target = PaddedLength.from_kwargs(self.tokenizer, {"padding": True, "padding_side": padding_side})
        rows: list[list[int]] = [to_py_obj(row) if is_array(row) else list(row) for row in ids]
        check_ids(rows)
        return {
            "input_ids": torch.tensor(pad_rows(rows, target.pad_id(rows), target), dtype=torch.long),
            "attention_mask": torch.tensor(pad_rows([[1] * len(row) for row in rows], 0, target), dtype=torch.long),
        }

    @property
    def model_input_names(self) -> list[str]:
        return ["input_ids", "attention_mask", "pixel_values"]

    def decode(self, token_ids: Any, **kwargs: Any) -> str | list[str]:
        """The tokenizer's `decode`, without image tokens, whose id the tokenizer may not know.

        Raises:
            ValueError: a token id is negative or no whole number.
        """
        return self.tokenizer.decode(self._without_image_tokens(to_py_obj(token_ids)), **kwargs)

    def batch_decode(self, sequences: Any, **kwargs: Any) -> list[str]:
        """The tokenizer's `batch_decode`, without image tokens."""
        return self.tokenizer.batch_decode(self._without_image_tokens(to_py_obj(sequences)), **kwargs)

    def post_process_image_text_to_text(
        self, generated_outputs: Any, skip_special_tokens: bool = True, **kwargs: Any
    ) -> str | list[str]:
        return self.decode(generated_outputs, skip_special_tokens=skip_special_tokens, **kwargs)

    @classmethod
    def register_for_auto_class(cls, auto_class: str = "AutoProcessor") -> None:
        """As in transformers, but also for the image processor, so that its code goes to the Hub, too."""
        super().register_for_auto_class(auto_class)
        MBlipImageProcessor.register_for_auto_class()

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | os.PathLike, *args: Any, **kwargs: Any
    ) -> "MBlipProcessor":
        """Load a processor, as in transformers.

        If the folder holds the model's `config.json`, this determines `num_query_tokens`, `image_token_id` and the
        padding side: left for decoder-only language models, right for encoder-decoders. `allow_private_urls=True` is
        then the default of every call. It is never saved.

        Raises:
            ValueError: processor_config.json contradicts config.json.
            FileNotFoundError: there is no such folder.
        """
        check_location(pretrained_model_name_or_path)
        images_kwargs = {ALLOW_PRIVATE_URLS: kwargs.pop(ALLOW_PRIVATE_URLS, False)}
        processor = super().from_pretrained(pretrained_model_name_or_path, *args, **kwargs)
        settings = read_model_settings(pretrained_model_name_or_path, **kwargs)
        processor.images_kwargs = images_kwargs  # type: ignore[assignment]  # a default of every call
        if settings.padding_side is not None and "padding_side" not in kwargs:
            processor.tokenizer.padding_side = settings.padding_side
        return processor

    @classmethod
    def get_processor_dict(
        cls, pretrained_model_name_or_path: str | os.PathLike, **kwargs: Any
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        settings = read_model_settings(pretrained_model_name_or_path, **kwargs)
        processor_dict, kwargs = super().get_processor_dict(pretrained_model_name_or_path, **kwargs)
        check_agreement(pretrained_model_name_or_path, processor_dict, settings, given=kwargs)
        said = {name: value for name, value in processor_dict.items() if value is not None}
        return said | settings.processor_arguments, kwargs

    def _merged(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        check_nested(kwargs)
        # Only the caller allows private URLs, never a published tokenizer.
        published = {name: value for name, value in self.tokenizer.init_kwargs.items() if name != ALLOW_PRIVATE_URLS}
        try:
            return self._merge_kwargs(tokenizer_init_kwargs=published, **kwargs)
        except StrictDataclassError as error:
            raise TypeError(str(error)) from error

    def _image_inputs(self, slots: ImageSlots, images_kwargs: dict[str, Any]) -> BatchFeature:
        images = list(slots.images)
        names = [f"image {slots.rows.index(i)}" for i in range(len(images))]
        allowed = images_kwargs.pop(ALLOW_PRIVATE_URLS, False)
        if isinstance(self.image_processor, MBlipImageProcessor):
            settings = {"names": names, ALLOW_PRIVATE_URLS: allowed}
            return self.image_processor.preprocess(images, image_like_kwargs=settings, **images_kwargs)
        loaded = map(functools.partial(load_upright_rgb, allow_private_urls=allowed), images, names)
        return self.image_processor(list(loaded), **images_kwargs)

    def _text_inputs(
        self, prompts: list[PromptPieces], slots: ImageSlots, merged: dict[str, Any], *, is_escaped: bool
    ) -> dict[str, Any]:
        text_kwargs = merged["text_kwargs"]
        if text_kwargs.get("return_offsets_mapping") and not self.tokenizer.is_fast:
            raise ValueError("`return_offsets_mapping` needs a fast tokenizer, but this one is written in Python.")
        if unsupported := [name for name in UNSUPPORTED_TEXT_KWARGS if text_kwargs.get(name)]:
            raise ValueError(f"`{unsupported[0]}` is not supported by MBlipProcessor. Leave it out.")
        target = PaddedLength.from_kwargs(self.tokenizer, text_kwargs)
        encoder = PromptEncoder(
            self.tokenizer,
            image_ids=[self.image_token_id] * self.num_query_tokens,
            add_special_tokens=text_kwargs.get("add_special_tokens", True),
            max_length=target.cut_at,
            with_offsets=text_kwargs.get("return_offsets_mapping") or False,
            escaped_with=self._control_tokens() if is_escaped else None,
            split_special_tokens=text_kwargs.get("split_special_tokens"),
        )
        encoded = encoder.encode(prompts, list(slots.num_images))
        return self._padded(encoded, target, text_kwargs, merged)

    def _padded(
        self, encoded: list[EncodedPrompt], target: PaddedLength, text_kwargs: dict[str, Any], merged: dict[str, Any]
    ) -> dict[str, Any]:
        ids = [prompt.input_ids for prompt in encoded]
        if text_kwargs.get("return_tensors") in ("pt", TensorType.PYTORCH):
            target.check_one_length(ids)
        inputs: dict[str, Any] = {"input_ids": pad_rows(ids, target.pad_id(ids), target)}
        if text_kwargs.get("return_attention_mask") is not False:
            inputs["attention_mask"] = pad_rows([[1] * len(row) for row in ids], 0, target)
        if text_kwargs.get("return_offsets_mapping"):
            inputs["offset_mapping"] = pad_rows([prompt.offsets for prompt in encoded], (0, 0), target)
        if merged.get("return_text_replacement_offsets"):
            # We replace no text: offsets count the characters of the original prompt.
            inputs["text_replacement_offsets"] = [[] for _ in encoded]
        if merged.get("return_mm_token_type_ids"):
            inputs["mm_token_type_ids"] = self.create_mm_token_type_ids(inputs["input_ids"])
        return inputs

    def _without_image_tokens(self, token_ids: Any) -> Any:
        if isinstance(token_ids, list | tuple):
            return [self._without_image_tokens(entry) for entry in token_ids if entry != self.image_token_id]
        check_ids([[token_ids]])
        return [] if token_ids == self.image_token_id else token_ids

    def _resolve_chat_template(self, chat_template: str | None) -> str:
        """The template to render, given itself or by name; None: the default. All are made to write `<image>`."""
        known = self.tokenizer.chat_template if self.chat_template is None else self.chat_template
        variables = self.tokenizer.special_tokens_map
        if not isinstance(chat_template, str | None):
            raise TypeError(f"`chat_template` is of type {type(chat_template).__name__}, expected a template's text.")
        if not isinstance(known, dict):
            return with_images(known if chat_template is None else chat_template, variables)
        if chat_template is None and "default" not in known:
            raise ValueError(
                f"There are {len(known)} chat templates, {', '.join(known)}, and none is named default. Pass the name "
                "of one as `chat_template`."
            )
        return with_images(known.get(chat_template or "default", chat_template), variables)


def check_nested(kwargs: dict[str, Any]) -> None:
    """Raise TypeError unless arguments such as `text_kwargs` are dicts."""
    for name, value in kwargs.items():
        if name.endswith("_kwargs") and not isinstance(value, dict):
            raise TypeError(f"`{name}` is of type {type(value).__name__}, expected a dict of arguments.")


def check_ids(rows: list[list[Any]]) -> None:
    """Raise ValueError unless all token ids are whole numbers from 0."""
    for token_id in itertools.chain.from_iterable(rows):
        is_whole = type(token_id) is int or (isinstance(token_id, numbers.Integral) and not isinstance(token_id, bool))
        if not is_whole or not 0 <= token_id < 2**31:
            raise ValueError(
                f"{token_id!r:.80} came as a token id, expected whole numbers from 0. Replace the -100 of labels by "
                "the pad token."
            )


def default_image_token_id(tokenizer: Any) -> int:
    """The id of the tokenizer's own `<image>`, or the first id after the tokenizer's ids."""
    return tokenizer.get_vocab().get(IMAGE_TOKEN, len(tokenizer))


def _prompts(text: str | list[str] | None) -> list[str]:
    if not (text is None or isinstance(text, str | list | tuple) or is_numpy_array(text)):
        raise ValueError(f"`text` is of type {type(text).__name__}. {EXPECTED_TEXT}")
    prompts = [] if text is None else [text] if isinstance(text, str) else list(text)
    for i, prompt in enumerate(prompts):
        if not isinstance(prompt, str):
            raise ValueError(f"Prompt {i} is of type {type(prompt).__name__}. {EXPECTED_TEXT}")
        if SURROGATE.search(prompt):
            raise ValueError(
                f"Prompt {i} holds half a character (a lone surrogate): {prompt!r:.80}. Correct the text."
            )
    return prompts


def assign_images(images: Any, num_marks: list[int]) -> ImageSlots:
    """Assign images to prompts.

    Args:
        images: one image, which every prompt shows; a flat list with one image for each prompt, or one for each
            `<image>` mark in reading order, or all images of a single prompt; or a list with one image or one list
            of images for each prompt.
        num_marks: the number of `<image>` marks in each prompt.

    Raises:
        ValueError: the images cannot be assigned, or a prompt's numbers of marks and images differ.
    """
    nested = _nested(images, num_marks)
    for i, (mine, marks) in enumerate(zip(nested, num_marks, strict=True)):
        if any(image is None or is_list(image) for image in mine):
            raise ValueError(
                f"The images of prompt {i} hold a {'list within a list' if any(map(is_list, mine)) else 'None'}, "
                "expected one flat list of images for each prompt, which may be empty."
            )
        check_marks(i, marks, len(mine))
    return _distinct(nested)


def check_marks(prompt: int, num_marks: int, num_images: int) -> None:
    """Raise ValueError unless a prompt says `<image>` once for each of its images, or never."""
    if num_marks not in (0, num_images):
        raise ValueError(
            f"Prompt {prompt} says `<image>` {num_marks} time(s), but {num_images} image(s) came with it. Write one "
            "`<image>` for each image, or none to put images in front of the text (`\\<image>` is literal text)."
        )


def _nested(images: Any, num_marks: list[int]) -> list[list[Any]]:
    num_prompts = len(num_marks)
    if images is None:
        return [[] for _ in num_marks]
    if not is_list(images):
        if isinstance(images, Iterable) and not isinstance(images, ONE_IMAGE) and not is_array(images):
            raise TypeError(
                f"`images` is of type {type(images).__name__}, expected an image, a list of images or a list of "
                "lists. Make a list of it, `list(...)`."
            )
        if not (is_array(images) and images.ndim == 4):
            return [[images] for _ in num_marks]
        images = list(images)  # a batch of images in one array
    if any(is_list(entry) for entry in images):
        if len(images) != num_prompts:
            raise ValueError(
                f"{len(images)} lists of images came with {num_prompts} prompt(s), expected one list for each prompt, "
                "which may be empty."
            )
        return [list(entry) if is_list(entry) else [entry] for entry in images]
    if num_prompts == 1:
        return [list(images)]
    if len(images) == num_prompts:
        return [[image] for image in images]
    return _by_marks(list(images), num_marks)


def _by_marks(images: list[Any], num_marks: list[int]) -> list[list[Any]]:
    if len(images) != sum(num_marks):
        raise ValueError(
            f"{len(images)} images came with {len(num_marks)} prompts that say `<image>` {sum(num_marks)} time(s), in "
            f"prompts {[i for i, marks in enumerate(num_marks) if marks][:5]}. Give one for each prompt, one for each "
            "`<image>` (`\\<image>` is literal text), or a list of lists; only a prompt alone shows all images."
        )
    remaining = iter(images)
    return [[next(remaining) for _ in range(marks)] for marks in num_marks]


def _distinct(nested: list[list[Any]]) -> ImageSlots:
    """Merge images that are the same object. Paths and URLs are strings; we never merge them."""
    images: list[Any] = []
    row_of: dict[int, int] = {}
    rows = []
    for image in (image for mine in nested for image in mine):
        key = id(image)
        if isinstance(image, str) or key not in row_of:
            row_of[key] = len(images)
            images.append(image)
        rows.append(row_of[key])
    return ImageSlots(tuple(images), tuple(rows), tuple(len(mine) for mine in nested))
