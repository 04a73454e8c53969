"""BLIP's image preprocessing, to the same bits in two thirds of the time.

Resize (bicubic), scale to 0..1, normalise with CLIP's mean and standard deviation: settings and defaults are those of
transformers' `BlipImageProcessorPil`, with the 224 pixels mBLIP was trained at. transformers goes through float64 and
several copies of the whole picture; here it stays 8-bit until it is written, in float32, into the tensor that is
returned. x / 255 in float32 equals transformers' float32(float64(x) * (1 / 255)) for all 256 values of x: the results
are equal, not merely close.

Shape suffixes: I = pictures, C = the 3 colours, H, W = height and width of the result.
"""

from .supported_releases import release  # noqa: F401

# isort: split
import functools
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import PIL.Image
import torch
from transformers import BlipImageProcessorPil
from transformers.image_processing_utils import BatchFeature
from transformers.image_utils import ImageInput

from .image_loading import load_upright_rgb
from .image_slots import flat_list


class MBlipImageProcessor(BlipImageProcessorPil):
    """Pictures in any form that `load_upright_rgb` takes -> `pixel_values` (I, 3, H, W), float32.

    Any setting of `BlipImageProcessorPil` may be changed; the fast path serves the usual ones, transformers' own code
    all others, and the values are the same either way.
    """

    size = {"height": 224, "width": 224}  # noqa: RUF012 - a setting, declared as transformers does

    @classmethod
    def register_for_auto_class(cls, auto_class: str = "AutoImageProcessor") -> None:
        super().register_for_auto_class(auto_class)

    def _preprocess_image_like_inputs(
        self, images: ImageInput, *args: Any, names: Sequence[str] | None = None, **kwargs: Any
    ) -> BatchFeature:
        """`names` are for messages, one for each picture; they come in by `image_like_kwargs`."""
        given = flat_list(images)
        names = [f"image {i}" for i in range(len(given))] if names is None else names
        loaded = (load_upright_rgb(image, name) for image, name in zip(given, names, strict=True))
        if given and not args and is_usual(kwargs):
            return self._fast_pixel_values(loaded, **kwargs)
        return super()._preprocess_image_like_inputs(list(loaded), *args, **kwargs)

    def _fast_pixel_values(
        self,
        images: Iterable[PIL.Image.Image],
        size: Any,
        resample: int,
        image_mean: tuple[float, float, float],
        image_std: tuple[float, float, float],
        return_tensors: Any,
        **kwargs: Any,
    ) -> BatchFeature:
        lines = bytearray().join(_resized_lines(images, (size.width, size.height), resample))
        pixels_IHCW = torch.frombuffer(lines, dtype=torch.uint8).view(-1, size.height, 3, size.width)
        # By way of numpy, which asks for large pages: touching small ones for the first time costs more than
        # normalising.
        pixel_values = torch.from_numpy(pixels_IHCW.transpose(1, 2).numpy().astype("float32", order="C"))
        mean_C11, std_C11 = torch.tensor(image_mean)[:, None, None], torch.tensor(image_std)[:, None, None]
        for values_CHW in pixel_values:
            values_CHW.div_(255).sub_(mean_C11).div_(std_C11)
        if str(return_tensors) in ("pt", "TensorType.PYTORCH"):
            return BatchFeature({"pixel_values": pixel_values})
        return BatchFeature({"pixel_values": list(pixel_values.numpy())}, tensor_type=return_tensors)


def _resized_lines(images: Iterable[PIL.Image.Image], size: tuple[int, int], resample: int) -> Iterator[bytes]:
    """The 8-bit pixels of each picture: a line of red, one of green, one of blue, the next line of red, ...

    Pictures are decoded here, one after the other (lazily opened ones may share a file), and resized on as many
    threads as torch uses: one in a worker of a DataLoader. At most one decoded picture per thread waits, so that
    large photos never pile up.
    """

    def resize(image: PIL.Image.Image) -> bytes:
        return image.resize(size, resample=resample).tobytes("raw", "RGB;L")

    num_threads = torch.get_num_threads()
    if num_threads == 1:
        yield from map(resize, images)
        return
    pending = deque[Any]()
    for image in images:
        pending.append(_threads(num_threads).submit(resize, image))
        if len(pending) > num_threads:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


@functools.cache
def _threads(num_threads: int) -> ThreadPoolExecutor:
    """Kept: threads started anew for every batch cost half of what they bring."""
    return ThreadPoolExecutor(num_threads, thread_name_prefix="resize")


if hasattr(os, "register_at_fork"):  # not on Windows, which forks nothing
    os.register_at_fork(after_in_child=_threads.cache_clear)  # a fork inherits the pool, but none of its threads


def is_usual(settings: dict[str, Any]) -> bool:
    """Whether the settings are the steps the fast path takes: to a square in RGB, / 255, normalise, nothing else."""
    size, resample = settings["size"], settings["resample"]
    return (
        all(settings[step] for step in ("do_convert_rgb", "do_resize", "do_rescale", "do_normalize"))
        and not settings["do_center_crop"]
        and not settings["do_pad"]
        and bool(size and size.height and size.width)
        and isinstance(resample, int)
        and settings["rescale_factor"] == 1 / 255
        and all(isinstance(settings[key], tuple) and len(settings[key]) == 3 for key in ("image_mean", "image_std"))
    )
