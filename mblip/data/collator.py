"""From rows to the batch of a training step.

An image is decoded, augmented and given to the processor once per row; all prompts of the row share it, and
`image_indices` tells the model so. Labels are -100 wherever nothing is to be learned.

- Encoder-decoder: prompts are the input, targets the labels. `decoder_input_ids` are the labels shifted right, so that
  the Trainer's label smoothing, which takes the labels away from the model, works.
- Decoder-only: prompt, target and end of sequence are one sequence, padded on the right, with prompt and image tokens
  -100 in the labels. (Label smoothing works here too: the model lends the Trainer its language model's class name, by
  which that tells that labels must be shifted.)
- A language model that brings its own chat template keeps it: the prompt is a user's message, the target the
  assistant's, and the template's end of turn is learned with it.

A target that is too long is cut and then has no end-of-sequence token: a token there would teach the model to stop in
mid-sentence. A prompt that is too long loses text, but no image token and nothing that a chat template writes.

A batch is padded once, by `processor.pad`. Shape suffixes: B = prompts, T = prompt tokens (with image tokens), I =
distinct images, L = label tokens.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from PIL import Image as PILImage
from torch.nn.utils.rnn import pad_sequence

from .augmentation import Augmentation, augment, is_flip_safe
from .example import check_columns, row_name
from .images import open_image
from .stable_random import stable_random
from .token_ids import Processor, answer_ids, check_chat_template, prompt_ids, uses_chat_template
from .training_rows import num_turns

logger = logging.getLogger(__name__)

IGNORED = -100  # label of a token that is not learned, as transformers' losses have it


class ModelConfig(Protocol):
    """What is asked of `MBlipConfig`."""

    @property
    def is_encoder_decoder(self) -> bool: ...

    @property
    def decoder_start_token_id(self) -> int | None: ...


@dataclass(frozen=True)
class Prompt:
    """One prompt of a row, with the decoded images that all prompts of the row share; `name` is for messages."""

    text: str
    target: str
    images: list[PILImage.Image]
    name: str


class MBlipCollator:
    """Makes rows into a model's batch: `input_ids`, `attention_mask`, `pixel_values`, `image_indices`, `labels` and,
    for an encoder-decoder, `decoder_input_ids`.

    Args:
        processor: an `MBlipProcessor`.
        config: `model.config`; an encoder-decoder's names its `decoder_start_token_id`.
        max_text_tokens: a prompt's text is cut to so many tokens; image tokens do not count, nor do a chat template's.
        max_target_tokens: a target is cut to so many tokens, end of sequence included.
        use_chat_template: whether prompts and targets go through the language model's chat template. None: if its
            tokenizer has one. Evaluation and use go by the tokenizer; to have them without, set its template to None.
        prompts_per_image: so many prompts of a row at most go into a batch, in turns over an order drawn by (seed,
            image_id). A row that names its `turn`, as rows of `TrainingRows(rows, prompts_per_image=...)` do, takes
            that one; else it is the turn of the epoch's number, round and round.
        augmentation: what happens to the images of training rows, those that come with `epoch` from `TrainingRows` or
            `TrainingStream`. Other rows, as the Trainer evaluates them, are never augmented and count as epoch 0.
        seed: of augmentation and choice of prompts.

    Raises:
        ValueError: the decoder start token is missing, the tokenizer has no padding or end-of-sequence token, or there
            is no chat template where one is asked for, or none that can be trained with.
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
    ) -> None:
        tokenizer = processor.tokenizer
        if tokenizer.pad_token_id is None or tokenizer.eos_token_id is None:
            raise ValueError(
                f"The tokenizer has pad_token {tokenizer.pad_token!r} and eos_token {tokenizer.eos_token!r}, "
                "but training needs both. "
                "Set the missing one, `tokenizer.pad_token = tokenizer.eos_token` where no other serves."
            )
        if config.is_encoder_decoder and config.decoder_start_token_id is None:
            raise ValueError(
                "`config.decoder_start_token_id` is None, but an encoder-decoder needs the token its decoder starts "
                "with. Set `model.config.decoder_start_token_id`."
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
        if self.use_chat_template:
            check_chat_template(processor)

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        """The batch of `rows`.

        Raises:
            ValueError: a row lacks a column or has a broken image, and the message names it; or a prompt says
                `<image>` another number of times than it has images. (What else may be wrong with rows is looked for
                where they are made and by `TrainingRows` and `TrainingStream`.)
        """
        prompts = [prompt for row in rows for prompt in self._prompts(row)]
        ids = _prompt_ids(self.processor, prompts, self.max_text_tokens, self.use_chat_template)
        targets = [self._target_ids(prompt) for prompt in prompts]
        pixels = _pixel_values(self.processor, prompts)
        if self.is_encoder_decoder:
            return {**self.processor.pad(ids, padding_side="right"), **pixels, **self._decoder_tensors(targets)}
        joined = [mine + target for mine, target in zip(ids, targets, strict=True)]
        labels = [[IGNORED] * len(mine) + target for mine, target in zip(ids, targets, strict=True)]
        return {**self.processor.pad(joined, padding_side="right"), "labels": _pad_labels(labels), **pixels}

    def _prompts(self, row: Mapping[str, Any]) -> list[Prompt]:
        """The prompts of a row whose turn it is, sharing its images."""
        images = _open_images(row)
        epoch, image_id = row.get("epoch", 0), row["image_id"]
        if self.augmentation is not None and "epoch" in row:
            draws = [stable_random(self.seed, epoch, image_id, number) for number in range(len(images))]
            may_flip = is_flip_safe(row, self.augmentation)
            images = [augment(images[i], self.augmentation, draw, may_flip=may_flip) for i, draw in enumerate(draws)]
        num_prompts, turn = len(row["prompts"]), row.get("turn", epoch)
        positions = choose_prompts(num_prompts, self.prompts_per_image, seed=self.seed, turn=turn, image_id=image_id)
        return [_prompt(row, position, images) for position in positions]

    def _target_ids(self, prompt: Prompt) -> list[int]:
        """The tokens of a target with end of sequence, or, cut, without."""
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
        """`labels` (B, L), and the same shifted right by the decoder start token with padding for what is ignored."""
        labels_BL = _pad_labels(targets)
        shifted_BL = labels_BL.roll(1, dims=1)
        assert self.decoder_start_token_id is not None  # __init__ refuses an encoder-decoder without
        shifted_BL[:, 0] = self.decoder_start_token_id
        pad_token_id = self.processor.tokenizer.pad_token_id
        return {"labels": labels_BL, "decoder_input_ids": shifted_BL.masked_fill(shifted_BL == IGNORED, pad_token_id)}


class GenerationCollator:
    """Makes evaluation rows into the inputs of `generate`: all their prompts, without targets or augmentation.

    A decoder-only model writes on from the end of its input, so its prompts are padded on the left and hold no target.
    The answers to compare with stay in the rows. Arguments are those of `MBlipCollator`.
    """

    def __init__(
        self,
        processor: Processor,
        config: ModelConfig,
        *,
        max_text_tokens: int = 128,
        use_chat_template: bool | None = None,
    ) -> None:
        self.processor = processor
        self.padding_side = "right" if config.is_encoder_decoder else "left"
        self.max_text_tokens = max_text_tokens
        self.use_chat_template = uses_chat_template(processor, use_chat_template)

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        """The inputs of all prompts of `rows`, in order."""
        prompts = []
        for row in rows:
            images = _open_images(row)
            prompts += [_prompt(row, position, images) for position in range(len(row["prompts"]))]
        ids = _prompt_ids(self.processor, prompts, self.max_text_tokens, self.use_chat_template)
        return {**self.processor.pad(ids, padding_side=self.padding_side), **_pixel_values(self.processor, prompts)}


def choose_prompts(num_prompts: int, prompts_per_image: int, *, seed: int, turn: int, image_id: str) -> list[int]:
    """The positions of the prompts whose turn it is, ascending.

    The prompts of an image stand in an order drawn by (seed, image_id); turn t takes numbers t * k to t * k + k - 1 of
    it, the last turn what is left, and then it begins anew.
    """
    if num_prompts <= prompts_per_image:
        return list(range(num_prompts))
    order = list(range(num_prompts))
    stable_random(seed, image_id).shuffle(order)
    first = turn % num_turns(num_prompts, prompts_per_image) * prompts_per_image
    return sorted(order[first : first + prompts_per_image])


def _open_images(row: Mapping[str, Any]) -> list[PILImage.Image]:
    check_columns(row)
    return [open_image(image, name=row_name(row)) for image in row["images"]]


def _prompt(row: Mapping[str, Any], position: int, images: list[PILImage.Image]) -> Prompt:
    name = f"{row_name(row)}, prompt {row['ids'][position]!r}"
    return Prompt(row["prompts"][position], row["targets"][position], images, name)


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
    """`pixel_values` (I, 3, H, W) and, where images are shared, `image_indices`: the same image object is encoded
    once. Empty without images."""
    shown = [prompt.images for prompt in prompts]
    return dict(processor(images=shown, return_tensors="pt")) if any(shown) else {}


def _pad_labels(labels: list[list[int]]) -> torch.Tensor:
    return pad_sequence([torch.tensor(mine) for mine in labels], batch_first=True, padding_value=IGNORED)
