"""Which prompt shows which pictures, and which of them are the same.

A *slot* is one showing of a picture in one prompt. Every distinct picture is encoded once, however many slots show it.
"""

from dataclasses import dataclass
from typing import Any

from transformers.utils import is_numpy_array, is_torch_tensor


@dataclass(frozen=True)
class ImageSlots:
    """`images`: every distinct picture once, in order of appearance. `rows`: for each slot of the batch, in reading
    order, its index in `images`. `num_images`: how many slots each prompt has."""

    images: tuple[Any, ...]
    rows: tuple[int, ...]
    num_images: tuple[int, ...]

    @property
    def is_one_to_one(self) -> bool:
        """Whether slot s shows picture s for every s, so that `image_indices` can be left out."""
        return self.rows == tuple(range(len(self.images)))


def assign_images(images: Any, num_marks: list[int]) -> ImageSlots:
    """Give every prompt its pictures.

    Args:
        images: one picture, shown to every prompt; a flat list, one for each prompt, or in reading order to the
            `<image>` marks, or all to the one prompt there is; a list with one list (of any length) or picture for
            each prompt.
        num_marks: the number of `<image>` marks in each prompt's text.

    Raises:
        ValueError: the pictures cannot be given to the prompts, or a prompt has marks but another number of pictures.
    """
    nested = _nested(images, num_marks)
    for i, (mine, marks) in enumerate(zip(nested, num_marks, strict=True)):
        if any(image is None or is_list(image) for image in mine):
            raise ValueError(
                f"The images of prompt {i} hold a {'list within a list' if any(map(is_list, mine)) else 'None'}. Give "
                "one list of images for each prompt, an empty one where a prompt has no image."
            )
        check_marks(i, marks, len(mine))
    return _distinct(nested)


def check_marks(prompt: int, num_marks: int, num_images: int) -> None:
    """Refuse a prompt that says `<image>` another number of times than it has images, and not never."""
    if num_marks not in (0, num_images):
        raise ValueError(
            f"Prompt {prompt} says `<image>` {num_marks} time(s), but {num_images} image(s) came with it: the number "
            "of `<image>` tokens in the prompts should be the same as the number of images. Give one image for each "
            "`<image>`, or leave out all of them to have the images in front of the text. A text that speaks of the "
            "word itself writes `\\<image>`."
        )


def flat_list(images: Any) -> list[Any]:
    """One picture, a list, a list of lists or a batch in one array, as a flat list."""
    if is_list(images):
        return [image for entry in images for image in flat_list(entry)]
    return list(images) if is_array(images) and images.ndim == 4 else [images]


def is_list(images: Any) -> bool:
    return isinstance(images, list | tuple)


def is_array(images: Any) -> bool:
    return is_numpy_array(images) or is_torch_tensor(images)


def _nested(images: Any, num_marks: list[int]) -> list[list[Any]]:
    num_prompts = len(num_marks)
    if images is None:
        return [[] for _ in num_marks]
    if not is_list(images):
        if not (is_array(images) and images.ndim == 4):
            return [[images] for _ in num_marks]
        images = list(images)  # a batch of pictures in one array
    if any(is_list(entry) for entry in images):
        if len(images) != num_prompts:
            raise ValueError(
                f"{len(images)} lists of images came with {num_prompts} prompt(s). Give one list for each prompt, an "
                "empty one where a prompt has no image."
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
            f"{len(images)} images came with {len(num_marks)} prompts that say `<image>` {sum(num_marks)} time(s): "
            "the number of `<image>` tokens in the prompts should be the same as the number of images. Give one "
            "image for each prompt, one for each `<image>`, or a list of lists."
        )
    remaining = iter(images)
    return [[next(remaining) for _ in range(marks)] for marks in num_marks]


def _distinct(nested: list[list[Any]]) -> ImageSlots:
    """Find the pictures given more than once: the same object. Texts (paths, URLs) are opened each for itself."""
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
