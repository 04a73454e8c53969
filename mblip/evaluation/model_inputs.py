"""Turns examples into inputs of `generate`. Every image goes through the ViT once; every text is tokenized once.

Shape suffixes: B = prompts, T = prompt tokens, I = distinct images, Q = query tokens per image, D = width of the
language model, S = image slots.
"""

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch

from mblip.data import token_ids
from mblip.data.features import FeatureSet, image_key
from mblip.data.images import Image as AnyImage
from mblip.data.images import open_image
from mblip.data.token_ids import prompt_ids, uses_chat_template

from .task import EvaluationExample

logger = logging.getLogger(__name__)
Item = TypeVar("Item")
Result = TypeVar("Result")


class Processor(token_ids.Processor, Protocol):
    """What an evaluation needs of `MBlipProcessor`."""

    def batch_decode(self, sequences: Any, **kwargs: Any) -> Any: ...


class Model(Protocol):
    """What an evaluation needs of `MBlipForConditionalGeneration`, or of a PEFT model around it."""

    config: Any
    generation_config: Any

    @property
    def device(self) -> torch.device: ...

    @property
    def dtype(self) -> torch.dtype: ...

    def modules(self) -> Iterator[torch.nn.Module]: ...

    def eval(self) -> Any: ...

    def get_image_features(self, *args: torch.Tensor, **images: torch.Tensor) -> Any: ...

    def generate(self, **kwargs: Any) -> torch.Tensor: ...


class Fitting:
    """Runs work in batches and halves the batch size when the device runs out of memory.

    accelerate's `find_executable_batch_size` starts again from the beginning. We keep the results so far, and the
    smaller size stays for later batches.
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self.limit: int | None = None

    def run(self, work: Callable[[Sequence[Item]], list[Result]], items: Sequence[Item]) -> list[Result]:
        """Run `work` on all items, in their order.

        Raises:
            torch.OutOfMemoryError: a single item does not fit.
        """
        size = len(items) if self.limit is None else min(len(items), self.limit)
        results: list[Result] = []
        while len(results) < len(items):
            part = items[len(results) : len(results) + size]
            try:
                results += work(part)
            except torch.OutOfMemoryError:
                if len(part) == 1:
                    raise
                torch.cuda.empty_cache()
                size = self.limit = len(part) // 2
                logger.warning("Out of memory with %d %s at once; continuing with %d.", len(part), self.what, size)
        return results


@dataclass(frozen=True)
class EncodedImages:
    """`features` (I, Q, D) of all distinct images, or None without images. `rows`: image_id -> its images' rows."""

    features: torch.Tensor | None
    rows: Mapping[str, Sequence[int]]

    def shown_to(self, examples: Sequence[EvaluationExample]) -> dict[str, torch.Tensor]:
        """The model inputs `image_features` and `image_indices` (S,) for these examples; empty without images."""
        return shown_features(self.features, [row for example in examples for row in self.rows[example.image_id]])


def shown_features(features: torch.Tensor | None, slots: Sequence[int]) -> dict[str, torch.Tensor]:
    """The model inputs `image_features` and `image_indices` (S,): the rows of `features` (I, Q, D) that slots show.

    Empty without images.
    """
    if features is None or not slots:
        return {}
    used = sorted(set(slots))
    position = {row: i for i, row in enumerate(used)}
    return {
        "image_features": features[torch.tensor(used, device=features.device)],
        "image_indices": torch.tensor([position[row] for row in slots], device=features.device),
    }


def encode_images(
    model: Model,
    processor: Processor,
    examples: Sequence[EvaluationExample],
    *,
    batch_size: int,
    fitting: Fitting,
    wanted: Collection[str] | None = None,
    stored: FeatureSet | None = None,
) -> EncodedImages:
    """Open and encode the images of `examples`, `batch_size` at a time. An image in several sets is encoded once.

    Args:
        wanted: the `image_id`s to encode; None: all. The batches stay those of all examples, because the last bits of
            an image's features may depend on the other images of its batch. Batches without a wanted image are
            skipped.
        stored: what `mblip encode` made of the images. Then the model needs no image encoder.

    Raises:
        ValueError: an image cannot be read, or is not in `stored`; the message names it.
    """
    images, rows = distinct_images(examples)
    shown = {image_id: mine for image_id, mine in rows.items() if wanted is None or image_id in wanted}
    features: list[torch.Tensor] = []
    starts: dict[int, int] = {}  # number of a batch -> position of its first features
    for number in sorted({row // batch_size for mine in shown.values() for row in mine}):
        starts[number] = len(features)
        batch = images[number * batch_size : (number + 1) * batch_size]
        features += fitting.run(lambda part: _encode(model, processor, part, stored), batch)
    positions = {
        image_id: tuple(starts[row // batch_size] + row % batch_size for row in mine)
        for image_id, mine in shown.items()
    }
    return EncodedImages(torch.stack(features) if features else None, positions)


def distinct_images(
    examples: Sequence[EvaluationExample],
) -> tuple[list[tuple[AnyImage, str]], dict[str, tuple[int, ...]]]:
    """All distinct images with their names for errors, and for each `image_id` the rows of its images."""
    distinct: dict[Any, tuple[int, AnyImage, str]] = {}  # path, URL or object id -> row, image, name
    rows: dict[str, tuple[int, ...]] = {}
    for example in examples:
        if example.image_id not in rows:
            name = f"Image set {example.image_id!r}"
            keys = [image if isinstance(image, str | Path) else id(image) for image in example.images]
            for key, image in zip(keys, example.images, strict=True):
                distinct.setdefault(key, (len(distinct), image, name))
            rows[example.image_id] = tuple(distinct[key][0] for key in keys)
    return [(image, name) for _, image, name in distinct.values()], rows


def _encode(
    model: Model, processor: Processor, images: Sequence[tuple[AnyImage, str]], stored: FeatureSet | None
) -> list[torch.Tensor]:
    """Features (Q, D) of named images."""
    if stored is None:
        opened = [open_image(image, name=name) for image, name in images]
        inputs = {"pixel_values": processor(images=opened, return_tensors="pt")["pixel_values"]}
    else:
        keys = [image_key(image, name=name) for image, name in images]
        inputs = {stored.input: stored.read(keys, [name for _, name in images])}
    on_device = {name: tensor.to(model.device) for name, tensor in inputs.items()}
    return list(model.get_image_features(**on_device).pooler_output)


def encode_prompts(processor: Processor, prompts: Sequence[str], num_images: Sequence[int]) -> list[list[int]]:
    """The token ids of each prompt with its `<image>` tokens, as in training: with chat template, never truncated."""
    asked = list(zip(prompts, num_images, strict=True))
    distinct = list(dict.fromkeys(asked))
    ids = prompt_ids(
        processor,
        [prompt for prompt, _ in distinct],
        [number for _, number in distinct],
        use_chat_template=uses_chat_template(processor),
    )
    ids_of = dict(zip(distinct, ids, strict=True))
    return [ids_of[each] for each in asked]


def prompt_tensors(model: Model, processor: Processor, ids: Sequence[Sequence[int]]) -> dict[str, torch.Tensor]:
    """`input_ids` and `attention_mask` (B, T), padded on the right for an encoder-decoder, otherwise on the left."""
    inputs = processor.pad(ids, padding_side="right" if model.config.is_encoder_decoder else "left")
    return {name: tensor.to(model.device) for name, tensor in inputs.items()}


@contextmanager
def evaluating(model: Model) -> Iterator[None]:
    """Evaluation mode without gradients. Afterwards every module returns to its mode."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, is_training in modes:
            module.training = is_training
