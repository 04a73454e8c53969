"""Checking the model's inputs, and placing Q-Former outputs into the language model's input.

We count features and tokens before we place them. `masked_scatter` and indexing do not: they would silently take too
few or the wrong features, and the model would train without seeing its images. The checks also catch batches that
dispatching, DataParallel or a pipeline has split, and inputs made by the processor of a different checkpoint. They
read from the device twice per batch, and look for the cause only if a count is wrong.

Shape suffixes: B = prompts, T = prompt tokens, L = target tokens, I = distinct images, C = channels, P = patches, E =
width of the vision tower, F = width of the Q-Former, S = image slots in reading order, Q = query tokens per image, D =
width of the language model.
"""

import itertools
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from .label_loss import IGNORE_INDEX

# The axes of each input, where a letter is one size for all inputs, and the kind of its values
INPUTS = {
    "input_ids": ("BT", "ids"),
    "inputs_embeds": ("BTD", "features"),
    "attention_mask": ("BT", "mask"),
    "pixel_values": ("ICHW", "pixels"),
    "vision_features": ("IPE", "features"),
    "query_features": ("IQF", "features"),
    "image_features": ("IQD", "features"),
    "image_indices": ("S", "ids"),
    "labels": ("BL", "labels"),
    "decoder_input_ids": ("BL", "tokens"),
    "decoder_attention_mask": ("BL", "mask"),
    "num_items_in_batch": ("", "count"),
}
AXIS_NAMES = {"B": "prompts", "T": "tokens", "L": "target tokens", "I": "images", "S": "image slots", "P": "patches"}
AXIS_NAMES |= dict.fromkeys("DEF", "wide")
IMAGE_INPUTS = ("pixel_values", "vision_features", "query_features", "image_features")  # of which one comes in
MOST_PIXEL_VALUE = 100  # normalised values are a few units; raw ones go to 255
VALUES = {
    "ids": "ids, torch.int64",
    "tokens": "ids of the vocabulary, torch.int64",
    "labels": "ids of the vocabulary, torch.int64, or -100",
    "features": "finite floats",
    "pixels": f"normalised, finite floats below {MOST_PIXEL_VALUE}",
    "mask": "1 at tokens and 0 at padding",
    "count": "a number above 0",
}
BUILD = 'Build the inputs with `MBlipProcessor` and `return_tensors="pt"`.'

# Text rarely repeats a token three times in a row. An id that does may be the `<image>` id of another checkpoint.
MIN_TOKENS_OF_IMAGE = 3


@dataclass(frozen=True)
class PromptRules:
    """What a model expects of its prompts.

    Args:
        num_query_tokens: `<image>` tokens per image.
        vocab_size: of the language model; all ids but `image_token_id` are below it.
        origin: the folder or repository that the model was loaded from; empty if there is none.
    """

    image_token_id: int
    num_query_tokens: int
    vocab_size: int
    pad_token_id: int | None = None
    origin: str = ""

    @property
    def hint(self) -> str:
        """How to get a processor that follows these rules."""
        call = f"`MBlipProcessor.from_pretrained({self.origin!r})`" if self.origin else "the model's own processor"
        return (
            f"Build the inputs with {call} (`image_token_id` {self.image_token_id}, `num_query_tokens` "
            f"{self.num_query_tokens})."
        )


def images_given(*images: torch.Tensor | None) -> dict[str, torch.Tensor]:
    """The one that is not None, by its name, if any. The arguments are `IMAGE_INPUTS`, in order.

    Raises:
        ValueError: more than one came in.
    """
    given = {name: each for name, each in zip(IMAGE_INPUTS, images, strict=True) if each is not None}
    if len(given) > 1:
        raise ValueError(f"Both {' and '.join(f'`{name}`' for name in given)} came in, expected one of them.")
    return given


def check_inputs(
    inputs: Mapping[str, Any], sizes: Mapping[str, int], vocab_size: int, *, is_encoder_decoder: bool = True
) -> None:
    """Check types, shapes and, with one read from the device, values of the arguments of `forward` in `INPUTS`.

    Masks that transformers has prepared (a dict, or of four axes) are left to it.

    Args:
        sizes: of the axes whose size the model determines.
        is_encoder_decoder: False: labels are aligned with `input_ids`.

    Raises:
        TypeError: an input is not a dense tensor, or its dtype is wrong.
        ValueError: a shape is wrong or does not fit the other inputs, or values are not those of `VALUES`.
    """
    sizes, is_wrong = dict(sizes), {}
    for name, (axes, kind) in INPUTS.items():
        value = inputs.get(name)
        if kind == "count" and isinstance(value, int | float):
            value = torch.tensor(value)
        if value is None or (kind == "mask" and (isinstance(value, dict) or getattr(value, "ndim", 0) == 4)):
            continue
        if not torch.is_tensor(value) or value.is_meta or value.is_nested or value.layout != torch.strided:
            found = f"a {value.device} tensor, {value.layout}" if torch.is_tensor(value) else type(value).__name__
            raise TypeError(f"`{name}` is {found}, expected a dense tensor. {BUILD}")
        if not _is_right_dtype(kind, value):
            raise TypeError(f"`{name}` is {value.dtype}, expected {VALUES[kind]}. {BUILD}")
        axes = axes if is_encoder_decoder else axes.replace("L", "T")
        pairs = list(zip(axes, value.shape, strict=False))
        if value.ndim != len(axes) or not all(sizes.setdefault(axis, size) == size > 0 for axis, size in pairs):
            expected = ", ".join(f"{sizes.get(axis, '')} {AXIS_NAMES.get(axis, '')}".strip() or axis for axis in axes)
            hint = "Images of another size need `interpolate_pos_encoding=True`." if kind == "pixels" else BUILD
            raise ValueError(f"`{name}` has shape {tuple(value.shape)}, expected ({expected}). {hint}")
        is_wrong[name] = _is_wrong(kind, value.detach(), vocab_size)
    if not is_wrong or torch.compiler.is_compiling():
        return
    device = next(iter(is_wrong.values())).device
    flags = torch.stack([flag.to(device) for flag in is_wrong.values()]).tolist()
    if any(flags):
        name = list(is_wrong)[flags.index(True)]
        raise ValueError(f"`{name}` holds other values than {VALUES[INPUTS[name][1]]}. {BUILD}")


def _is_right_dtype(kind: str, value: torch.Tensor) -> bool:
    if kind in ("ids", "tokens", "labels"):
        return value.dtype in (torch.int64, torch.int32)
    return value.is_floating_point() or (kind in ("mask", "count") and not value.is_complex())


def _is_wrong(kind: str, value: torch.Tensor, vocab_size: int) -> torch.Tensor:
    """A flag on the device. `find_image_tokens` and `select_image_features` look at the ids."""
    if kind in ("features", "pixels"):
        low, high = value.aminmax()
        most = MOST_PIXEL_VALUE if kind == "pixels" else math.inf
        return ~((low > -most) & (high < most))  # True for NaN
    if kind == "mask":
        return ((value != 0) & (value != 1)).any()
    if kind in ("tokens", "labels"):
        is_foreign = (value < 0) | (value >= vocab_size)
        return (is_foreign & (value != IGNORE_INDEX) if kind == "labels" else is_foreign).any()
    return ~(value > 0) if kind == "count" else torch.zeros((), dtype=torch.bool, device=value.device)


def select_image_features(features_IQD: torch.Tensor, image_indices_S: torch.Tensor | None) -> torch.Tensor:
    """The features that each image slot shows, (S, Q, D).

    Args:
        features_IQD: one row per distinct image.
        image_indices_S: for each slot the row it shows; None: slot s shows row s.

    Raises:
        ValueError: an index points to no row, or no slot shows a row.
    """
    if image_indices_S is None:
        return features_IQD
    num_images = features_IQD.shape[0]
    shown = sorted(set(image_indices_S.tolist()))
    if shown != list(range(num_images)):
        raise ValueError(
            f"`image_indices` shows the rows {shown}, expected each of the {num_images} image row(s) at least once. "
            "Build it with `MBlipProcessor`, and do not split batches (`dispatch_batches=False`, no DataParallel)."
        )
    return features_IQD[image_indices_S.to(features_IQD.device)]


def find_image_tokens(
    input_ids_BT: torch.Tensor, num_slots: int, rules: PromptRules, *, are_tokens_embedded: bool = False
) -> torch.Tensor:
    """A mask that is True at the `<image>` tokens, (B, T).

    Args:
        num_slots: image slots of the batch, each of `num_query_tokens` tokens.
        are_tokens_embedded: the text is already embedded, so do not check the ids of text tokens.

    Raises:
        ValueError: the batch holds too few or too many `<image>` tokens for its image slots; a prompt holds only part
            of an image; or an id is not in the language model's vocabulary.
    """
    is_image_BT = input_ids_BT.eq(rules.image_token_id)
    is_text_BT = input_ids_BT.ge(0) & input_ids_BT.lt(rules.vocab_size)
    is_foreign_BT = ~(is_image_BT | is_text_BT)
    num_tokens_B, num_foreign_B = torch.stack([is_image_BT.sum(dim=1), is_foreign_BT.sum(dim=1)]).tolist()
    num_tokens, num_features = sum(num_tokens_B), num_slots * rules.num_query_tokens
    if num_tokens != num_features:
        raise ValueError(
            f"The prompts hold {num_tokens} `<image>` tokens, but {num_slots} image slot(s) x "
            f"{rules.num_query_tokens} query tokens = {num_features} features came in. "
            f"{_likely_cause(input_ids_BT, num_tokens_B, num_slots, rules)}{rules.hint}"
        )
    torn = [row for row, count in enumerate(num_tokens_B) if count % rules.num_query_tokens]
    if torn:
        raise ValueError(
            f"Prompt {torn[0]} holds {num_tokens_B[torn[0]]} `<image>` tokens, expected a multiple of the "
            f"{rules.num_query_tokens} query tokens per image ({num_tokens} in the batch). Build the inputs "
            "with `MBlipProcessor`, and truncate long text before you add image tokens."
        )
    if any(num_foreign_B) and not are_tokens_embedded:
        row, column = is_foreign_BT.nonzero()[0].tolist()
        raise ValueError(
            f"Prompt {row} holds the id {int(input_ids_BT[row, column])}, expected ids below {rules.vocab_size} or "
            f"`<image>`, {rules.image_token_id}. Does the tokenizer belong to another checkpoint, or have added "
            f"tokens? {rules.hint}"
        )
    return is_image_BT


def place_image_features(
    embeds_BTD: torch.Tensor, features_SQD: torch.Tensor, is_image_BT: torch.Tensor
) -> torch.Tensor:
    """Overwrite the embeddings of the `<image>` tokens with image features, in reading order.

    `is_image_BT` must come from `find_image_tokens`, which checks the counts: `masked_scatter` silently drops features
    for which there is no token.
    """
    features_SQD = features_SQD.to(device=embeds_BTD.device, dtype=embeds_BTD.dtype)
    return embeds_BTD.masked_scatter(is_image_BT[..., None].to(embeds_BTD.device), features_SQD)


def _likely_cause(input_ids_BT: torch.Tensor, num_tokens_B: list[int], num_slots: int, rules: PromptRules) -> str:
    """The likely cause: the number of images, or a processor with the settings of another checkpoint."""
    num_tokens, seems = sum(num_tokens_B), "The processor's `{}` seems to be {}, that of another checkpoint. "
    if num_tokens > 0 and all(count % rules.num_query_tokens == 0 for count in num_tokens_B):
        return f"They are for {num_tokens // rules.num_query_tokens} image(s). "
    if num_slots == 0 or num_tokens % num_slots:
        return ""
    if num_tokens > 0:
        return seems.format("num_query_tokens", num_tokens // num_slots)
    found = _id_in_place_of_images(input_ids_BT, num_slots, rules)
    return "" if found is None else seems.format("image_token_id", found)


def _id_in_place_of_images(input_ids_BT: torch.Tensor, num_slots: int, rules: PromptRules) -> int | None:
    """The id that another checkpoint may use for `<image>`: it comes in runs, equally often for each image slot.

    If several do, take the highest: image ids come after those of text tokens.
    """
    counts: Counter[int] = Counter()
    for row in input_ids_BT.tolist():
        for token_id, run in itertools.groupby(row):
            length = sum(1 for _ in run)
            if length >= MIN_TOKENS_OF_IMAGE and token_id != rules.pad_token_id:
                counts[token_id] += length
    return max((token_id for token_id, count in counts.items() if count % num_slots == 0), default=None)
