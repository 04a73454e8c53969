"""From examples to inputs of `generate`: every image through the ViT once, every text through the tokenizer once.

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
from mblip.data.images import Image as AnyImage
from mblip.data.images import open_image
from mblip.data.token_ids import prompt_ids, uses_chat_template

from .task import EvaluationExample

logger = logging.getLogger(__name__)
Item = TypeVar("Item")
Result = TypeVar("Result")


class Processor(token_ids.Processor, Protocol):
    """What is asked of `MBlipProcessor`."""

    def batch_decode(self, sequences: Any, **kwargs: Any) -> Any: ...


class Model(Protocol):
    """What is asked of `MBlipForConditionalGeneration`, or of a PEFT model around it."""

    config: Any
    generation_config: Any

    @property
    def device(self) -> torch.device: ...

    @property
    def dtype(self) -> torch.dtype: ...

    def modules(self) -> Iterator[torch.nn.Module]: ...

    def eval(self) -> Any: ...

    def get_image_features(self, pixel_values: torch.Tensor) -> Any: ...

    def generate(self, **kwargs: Any) -> torch.Tensor: ...


class Fitting:
    """Does work batch by batch, and in halves where the device's memory is too small, from then on too: found as
    accelerate's `find_executable_batch_size` does, but within a batch, so that what is done stays done."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.limit: int | None = None

    def run(self, work: Callable[[Sequence[Item]], list[Result]], items: Sequence[Item]) -> list[Result]:
        """`work` on all items, in their order.

        Raises:
            torch.OutOfMemoryError: there is no room for a single one.
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
                logger.warning("No room for %d %s at once; going on with %d.", len(part), self.what, size)
        return results


@dataclass(frozen=True)
class EncodedImages:
    """`features` (I, Q, D) of every distinct image, or None without any; `rows`: image_id -> its images' rows."""

    features: torch.Tensor | None
    rows: Mapping[str, Sequence[int]]

    def shown_to(self, examples: Sequence[EvaluationExample]) -> dict[str, torch.Tensor]:
        """`image_features` with the images of these examples alone, and `image_indices` (S,); empty without images."""
        slots = [row for example in examples for row in self.rows[example.image_id]]
        if self.features is None or not slots:
            return {}
        used = sorted(set(slots))
        position = {row: i for i, row in enumerate(used)}
        device = self.features.device
        return {
            "image_features": self.features[torch.tensor(used, device=device)],
            "image_indices": torch.tensor([position[row] for row in slots], device=device),
        }


def encode_images(
    model: Model,
    processor: Processor,
    examples: Sequence[EvaluationExample],
    *,
    batch_size: int,
    fitting: Fitting,
    wanted: Collection[str] | None = None,
) -> EncodedImages:
    """Open and encode the images of `examples`, `batch_size` at a time. A file that several image sets show is encoded
    once.

    Args:
        wanted: the `image_id`s that are asked about; None: all. Batches are those of all examples, for the last bits
            of an image's features may depend on what it is encoded with; one in which nothing is wanted is skipped.

    Raises:
        ValueError: an image cannot be read; the message names it.
    """
    images, rows = _distinct_images(examples)
    shown = {image_id: mine for image_id, mine in rows.items() if wanted is None or image_id in wanted}
    features: list[torch.Tensor] = []
    starts: dict[int, int] = {}  # number of a batch -> where its features begin
    for number in sorted({row // batch_size for mine in shown.values() for row in mine}):
        starts[number] = len(features)
        batch = images[number * batch_size : (number + 1) * batch_size]
        features += fitting.run(lambda part: _encode(model, processor, part), batch)
    positions = {
        image_id: tuple(starts[row // batch_size] + row % batch_size for row in mine)
        for image_id, mine in shown.items()
    }
    return EncodedImages(torch.stack(features) if features else None, positions)


def _distinct_images(
    examples: Sequence[EvaluationExample],
) -> tuple[list[tuple[AnyImage, str]], dict[str, tuple[int, ...]]]:
    """Every image once, with what errors call it, and the rows of those of each `image_id`."""
    distinct: dict[Any, tuple[int, AnyImage, str]] = {}  # by location, or by object: row, image, name
    rows: dict[str, tuple[int, ...]] = {}
    for example in examples:
        if example.image_id not in rows:
            name = f"Image set {example.image_id!r}"
            keys = [image if isinstance(image, str | Path) else id(image) for image in example.images]
            for key, image in zip(keys, example.images, strict=True):
                distinct.setdefault(key, (len(distinct), image, name))
            rows[example.image_id] = tuple(distinct[key][0] for key in keys)
    return [(image, name) for _, image, name in distinct.values()], rows


def _encode(model: Model, processor: Processor, images: Sequence[tuple[AnyImage, str]]) -> list[torch.Tensor]:
    """Features (Q, D) of named images."""
    opened = [open_image(image, name=name) for image, name in images]
    inputs = processor(images=opened, return_tensors="pt")
    return list(model.get_image_features(inputs["pixel_values"].to(model.device)).pooler_output)


def encode_prompts(processor: Processor, prompts: Sequence[str], num_images: Sequence[int]) -> list[list[int]]:
    """The token ids of each prompt with its `<image>` tokens: those of training, chat template included, never cut."""
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
    """`input_ids` and `attention_mask` (B, T), padded where the language model wants it."""
    inputs = processor.pad(ids, padding_side="right" if model.config.is_encoder_decoder else "left")
    return {name: tensor.to(model.device) for name, tensor in inputs.items()}


@contextmanager
def evaluating(model: Model) -> Iterator[None]:
    """Evaluation mode without gradients; afterwards every module is in the mode it was in."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, is_training in modes:
            module.training = is_training
