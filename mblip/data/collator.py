"""From rows to the batch of a training step.

An image is decoded, augmented and given to the processor once per row. All prompts of the row share it, through
`image_indices`. Labels are -100 for every token that is not learned.

- Encoder-decoder: prompts are the input, targets the labels. `decoder_input_ids` are the labels shifted right, because
  the Trainer's label smoothing takes the labels away from the model.
- Decoder-only: prompt, target and end of sequence form one sequence, padded on the right. Prompt and image tokens are
  -100 in the labels. Label smoothing works here too: the model reports its language model's class name, from which the
  Trainer knows that labels must be shifted.
- With a chat template: the prompt is a user's message, the target the assistant's. The template's end of turn is
  learned too.

A target that is too long is cut and gets no end-of-sequence token, which would teach the model to stop in
mid-sentence. A prompt that is too long loses text, but no image tokens and nothing that a chat template writes.

A batch is padded once, by `processor.pad`.

Shape suffixes: B = prompts, T = prompt tokens (with image tokens), I = distinct images, L = label tokens.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from PIL import Image as PILImage
from torch.nn.utils.rnn import pad_sequence

from .augmentation import Augmentation, augment_in_epoch, is_flip_safe
from .example import check_characters, check_columns, check_prompt, check_targets, check_values, row_name
from .features import FeatureSet, augmented_keys, image_key
from .images import Image, StoredImage, check_trusted, open_image
from .stable_random import stable_random
from .token_ids import Processor, answer_ids, check_chat_template, prompt_ids, uses_chat_template
from .training_rows import num_turns

logger = logging.getLogger(__name__)

IGNORED = -100  # label of a token that is not learned, in transformers' losses


class ModelConfig(Protocol):
    """The part of `MBlipConfig` that collators need."""

    @property
    def is_encoder_decoder(self) -> bool: ...

    @property
    def decoder_start_token_id(self) -> int | None: ...


@dataclass(frozen=True, eq=False)
class EncodedImage:
    """An image of a row whose features are at hand, by their key. Every image of a row is one of its own."""

    key: bytes
    name: str


RowImages = list[PILImage.Image] | list[EncodedImage]


@dataclass(frozen=True)
class Prompt:
    """One prompt of a row. All prompts of the row share its images. `name` is for messages."""

    text: str
    target: str
    images: RowImages
    name: str


class MBlipCollator:
    """Turn rows into a model's batch: `input_ids`, `attention_mask`, `pixel_values`, `image_indices`, `labels` and,
    for an encoder-decoder, `decoder_input_ids`. With `features`, the model gets these, and no image is decoded.

    Args:
        processor: an `MBlipProcessor`.
        config: `model.config`. An encoder-decoder's config gives its `decoder_start_token_id`.
        max_text_tokens: the most tokens of a prompt's text. Longer texts are cut. Image tokens and a chat template's
            tokens do not count.
        max_target_tokens: the most tokens of a target, end of sequence included. Longer targets are cut.
        use_chat_template: whether prompts and targets go through the language model's chat template. None: if its
            tokenizer has one. Evaluation and inference follow the tokenizer. To train and use the model without a
            template, set the tokenizer's to None.
        prompts_per_image: the most prompts of a row in a batch. They take turns, in an order drawn by (seed,
            image_id). A row with a `turn`, as from `TrainingRows(rows, prompts_per_image=...)`, takes that turn. Other
            rows take the turn of their epoch, starting again after the last.
        augmentation: how training images are augmented. Training rows are those with an `epoch`, from `TrainingRows`
            or `TrainingStream`. Other rows, as in the Trainer's evaluation, are never augmented and count as epoch 0.
        seed: for augmentation and the choice of prompts.
        image_root: the folder of the images that rows name in place of holding them. None: such rows are refused,
            because anybody may have written them.
        features: what `mblip encode` made of the images of the rows, with the same augmentation. Epoch e takes draw e
            modulo its `augmentations`. None: images are decoded, and come as `pixel_values`.

    Raises:
        ValueError: the decoder start token is missing; or the tokenizer has no padding or end-of-sequence token; or a
            chat template is asked for but missing, or cannot be trained with.
    """

    def __init__(
        self,
        processor: Processor,
        config: ModelConfig,
        *,
        max_text_tokens: int = 128,
        max_target_tokens: int = 128,
        prompts_per_image: int = 4,
        augmentation: Augmentation | None = None,
        use_chat_template: bool | None = None,
        seed: int = 0,
        image_root: str | Path | None = None,
        features: FeatureSet | None = None,
    ) -> None:
        tokenizer = processor.tokenizer
        if tokenizer.pad_token_id is None or tokenizer.eos_token_id is None:
            raise ValueError(
                f"The tokenizer has pad_token {tokenizer.pad_token!r} and eos_token {tokenizer.eos_token!r}, "
                "but training needs both. "
                "Set the missing one, for example `tokenizer.pad_token = tokenizer.eos_token`."
            )
        if config.is_encoder_decoder and config.decoder_start_token_id is None:
            raise ValueError(
                "`config.decoder_start_token_id` is None, but an encoder-decoder needs the token its decoder starts "
                "with. Set `model.config.decoder_start_token_id`."
            )
        if min(max_text_tokens + 1, max_target_tokens, prompts_per_image) < 1:
            raise ValueError(
                f"Found max_text_tokens={max_text_tokens}, max_target_tokens={max_target_tokens}, "
                f"prompts_per_image={prompts_per_image}, expected at least 0, 1 and 1."
            )
        self.processor = processor
        self.is_encoder_decoder = config.is_encoder_decoder
        self.decoder_start_token_id = config.decoder_start_token_id
        self.max_text_tokens = max_text_tokens
        self.max_target_tokens = max_target_tokens
        self.prompts_per_image = prompts_per_image
        self.augmentation = augmentation
        self.use_chat_template = uses_chat_template(processor, use_chat_template)
        self.seed = seed
        self.image_root = image_root
        self.features = features
        if self.use_chat_template:
            check_chat_template(processor)

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        """The batch of `rows`.

        Raises:
            ValueError: a row lacks a column or has a broken image, or one without features (the message names the
                row), or the number of `<image>` in a prompt differs from its number of images. `TrainingRows` and
                `TrainingStream` check lists and targets once; a row that comes without them is checked here.
        """
        prompts = [prompt for row in rows for prompt in self._prompts(row)]
        ids = _prompt_ids(self.processor, prompts, self.max_text_tokens, self.use_chat_template)
        targets = [self._target_ids(prompt) for prompt in prompts]
        pixels = _pixel_values(self.processor, prompts) if self.features is None else _stored(self.features, prompts)
        if self.is_encoder_decoder:
            return {**self.processor.pad(ids, padding_side="right"), **pixels, **self._decoder_tensors(targets)}
        joined = [mine + target for mine, target in zip(ids, targets, strict=True)]
        labels = [[IGNORED] * len(mine) + target for mine, target in zip(ids, targets, strict=True)]
        return {**self.processor.pad(joined, padding_side="right"), "labels": _pad_labels(labels), **pixels}

    def _prompts(self, row: Mapping[str, Any]) -> list[Prompt]:
        """The prompts of a row whose turn it is, with the row's images."""
        stored = images_of_row(row, self.image_root)
        if "epoch" not in row:  # nothing has checked it: `TrainingRows` and `TrainingStream` write the epoch
            check_targets(row)
        epoch, image_id, name = row.get("epoch", 0), row["image_id"], row_name(row)
        augmentation = self.augmentation if "epoch" in row else None
        images: RowImages
        if self.features is None:
            images = [open_image(image, name=name) for image in stored]
            if augmentation is not None:
                key = {"seed": self.seed, "epoch": epoch, "may_flip": is_flip_safe(row, augmentation)}
                images = [augment_in_epoch(images[i], row, i, augmentation, **key) for i in range(len(images))]
        else:
            keys = [image_key(image, name=name) for image in stored]
            if augmentation is not None:
                keys = augmented_keys(keys, row, augmentation, epoch % (self.features.augmentations or 1))
            images = [EncodedImage(key, name) for key in keys]
        num_prompts, turn = len(row["prompts"]), row.get("turn", epoch)
        positions = choose_prompts(num_prompts, self.prompts_per_image, seed=self.seed, turn=turn, image_id=image_id)
        return _prompts_at(positions, row, images)

    def _target_ids(self, prompt: Prompt) -> list[int]:
        """The tokens of a target, with end of sequence unless it is cut."""
        (ids,) = answer_ids(
            self.processor,
            prompt.text,
            len(prompt.images),
            [prompt.target],
            is_encoder_decoder=self.is_encoder_decoder,
            use_chat_template=self.use_chat_template,
        )
        if len(ids) > self.max_target_tokens:
            logger.info(
                "%s: target of %d tokens cut to max_target_tokens=%d.", prompt.name, len(ids), self.max_target_tokens
            )
        return ids[: self.max_target_tokens]

    def _decoder_tensors(self, targets: list[list[int]]) -> dict[str, torch.Tensor]:
        """`labels` (B, L) and `decoder_input_ids` (B, L).

        The inputs are the labels shifted right by the decoder start token, with padding in place of ignored labels.
        """
        labels_BL = _pad_labels(targets)
        shifted_BL = labels_BL.roll(1, dims=1)
        assert self.decoder_start_token_id is not None  # __init__ refuses an encoder-decoder without one
        shifted_BL[:, 0] = self.decoder_start_token_id
        pad_token_id = self.processor.tokenizer.pad_token_id
        return {"labels": labels_BL, "decoder_input_ids": shifted_BL.masked_fill(shifted_BL == IGNORED, pad_token_id)}


class GenerationCollator:
    """Turn evaluation rows into the inputs of `generate`: all their prompts, without targets or augmentation.

    A decoder-only model continues the end of its input, so its prompts are padded on the left. The reference answers
    stay in the rows. The arguments are those of `MBlipCollator`.
    """

    def __init__(
        self,
        processor: Processor,
        config: ModelConfig,
        *,
        max_text_tokens: int = 128,
        use_chat_template: bool | None = None,
        image_root: str | Path | None = None,
    ) -> None:
        self.processor = processor
        self.image_root = image_root
        self.padding_side = "right" if config.is_encoder_decoder else "left"
        self.max_text_tokens = max_text_tokens
        self.use_chat_template = uses_chat_template(processor, use_chat_template)

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        """The inputs of all prompts of `rows`, in order."""
        prompts = []
        for row in rows:
            images = [open_image(image, name=row_name(row)) for image in images_of_row(row, self.image_root)]
            prompts += _prompts_at(range(len(row["prompts"])), row, images)
        ids = _prompt_ids(self.processor, prompts, self.max_text_tokens, self.use_chat_template)
        return {**self.processor.pad(ids, padding_side=self.padding_side), **_pixel_values(self.processor, prompts)}


def choose_prompts(num_prompts: int, prompts_per_image: int, *, seed: int, turn: int, image_id: str) -> list[int]:
    """The positions of the prompts whose turn it is, ascending.

    The prompts of an image are put in an order drawn by (seed, image_id). With k prompts per image, turn t takes
    numbers t * k to t * k + k - 1 of it. The last turn takes the rest; then the turns start again.
    """
    if num_prompts <= prompts_per_image:
        return list(range(num_prompts))
    order = list(range(num_prompts))
    stable_random(seed, image_id).shuffle(order)
    first = turn % num_turns(num_prompts, prompts_per_image) * prompts_per_image
    return sorted(order[first : first + prompts_per_image])


def images_of_row(row: Mapping[str, Any], image_root: str | Path | None = None) -> list[Image | StoredImage]:
    """The images of a row as they are stored, after a check of the row's columns and of the files that it names."""
    check_columns(row)
    check_values(row)
    return [check_trusted(image, name=row_name(row), image_root=image_root) for image in row["images"]]


def _prompts_at(positions: Iterable[int], row: Mapping[str, Any], images: RowImages) -> list[Prompt]:
    prompts, name_of_row = [], row_name(row)
    for position in positions:
        name = f"{name_of_row}, prompt {row['ids'][position]!r}"
        text, target = row["prompts"][position], row["targets"][position]
        check_characters(text, name=name)
        check_characters(target or "", name=f"{name}: its target")
        check_prompt(text, len(images), name=name)
        prompts.append(Prompt(text, target, images, name))
    return prompts


def _prompt_ids(
    processor: Processor, prompts: Sequence[Prompt], max_text_tokens: int, use_chat_template: bool
) -> list[list[int]]:
    return prompt_ids(
        processor,
        [prompt.text for prompt in prompts],
        [len(prompt.images) for prompt in prompts],
        max_text_tokens=max_text_tokens,
        use_chat_template=use_chat_template,
    )


def _pixel_values(processor: Processor, prompts: Sequence[Prompt]) -> dict[str, torch.Tensor]:
    """`pixel_values` (I, 3, H, W) and, if images are shared, `image_indices`. Empty without images.

    The same image object is encoded once.
    """
    shown = [prompt.images for prompt in prompts]
    return dict(processor(images=shown, return_tensors="pt")) if any(shown) else {}


def _stored(features: FeatureSet, prompts: Sequence[Prompt]) -> dict[str, torch.Tensor]:
    """As `_pixel_values`, with the images' features in place of their pixels."""
    slots = [image for prompt in prompts for image in prompt.images if isinstance(image, EncodedImage)]
    rows = {image: i for i, image in enumerate(dict.fromkeys(slots))}
    if not rows:
        return {}
    inputs: dict[str, torch.Tensor] = {
        features.input: features.read([image.key for image in rows], [image.name for image in rows])
    }
    indices = [rows[image] for image in slots]
    return inputs if len(indices) == len(rows) else inputs | {"image_indices": torch.tensor(indices)}


def _pad_labels(labels: list[list[int]]) -> torch.Tensor:
    return pad_sequence([torch.tensor(mine) for mine in labels], batch_first=True, padding_value=IGNORED)
