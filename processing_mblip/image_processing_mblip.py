"""Loading images in any form as upright RGB, and BLIP's preprocessing to `pixel_values`.

The sibling files are the steps of loading, and the only way in which this project opens an image: bytes
(image_reading, image_urls), pixels (image_decoding, image_completeness) and colours (image_conversion).

The preprocessing gives bit-identical results to transformers' `BlipImageProcessorPil` in two thirds of the time:
resize (bicubic) to mBLIP's 224 pixels by default, scale to 0..1, normalise with CLIP's mean and standard deviation.
transformers goes through float64 and several copies of the whole image. We keep 8 bits and write float32 directly into
the returned tensor. For all 256 values of x, x / 255 in float32 equals transformers' float32(float64(x) * (1 / 255)).

Shape suffixes: I = images, C = the 3 colours, H, W = height and width of the result.
"""

from .supported_releases import release  # noqa: F401

# isort: split
import functools
import os
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch
from transformers import BlipImageProcessorPil
from transformers.image_processing_utils import BatchFeature
from transformers.image_utils import ImageInput
from transformers.utils import is_numpy_array, is_torch_tensor

from .image_conversion import image_from_values, is_plain_tensor, upright_rgb
from .image_decoding import MAX_BYTES, decode, load_opened
from .image_reading import read_file, read_source, shown_source
from .image_refusal import RefusedImageError, check_size


class MBlipImageProcessor(BlipImageProcessorPil):
    """Images in any form that `load_upright_rgb` takes -> `pixel_values` (I, 3, H, W), float32.

    You can change any setting of `BlipImageProcessorPil`. Usual settings take the fast path, all others transformers'
    own code. Both give the same values.
    """

    size = {"height": 224, "width": 224}  # noqa: RUF012 - a setting, declared as transformers does

    @classmethod
    def register_for_auto_class(cls, auto_class: str = "AutoImageProcessor") -> None:
        super().register_for_auto_class(auto_class)

    def fetch_images(self, image_url_or_urls: Any) -> Any:
        """As in transformers, but through `load_upright_rgb`."""
        if is_list(image_url_or_urls):
            return [self.fetch_images(entry) for entry in image_url_or_urls]
        return load_upright_rgb(image_url_or_urls)

    def preprocess(self, images: ImageInput, *args: Any, **kwargs: Any) -> BatchFeature:
        try:
            return super().preprocess(images, *args, **kwargs)
        except (LookupError, OverflowError, MemoryError) as error:  # of transformers, numpy or Pillow
            raise ValueError(f"The settings of images cannot be used, such as their `size`: {error!r}.") from error

    def _preprocess_image_like_inputs(
        self,
        images: ImageInput,
        *args: Any,
        names: Sequence[str] | None = None,
        allow_private_urls: bool = False,
        **kwargs: Any,
    ) -> BatchFeature:
        """The processor passes `names` for messages and `allow_private_urls`, through `image_like_kwargs`."""
        given = flat_list(images)
        names = [f"image {i}" for i in range(len(given))] if names is None else names
        loaded = map(functools.partial(load_upright_rgb, allow_private_urls=allow_private_urls), given, names)
        if given and not args and is_usual(kwargs):
            return self._fast_pixel_values(loaded, len(given), **kwargs)
        return super()._preprocess_image_like_inputs(list(loaded), *args, **kwargs)

    def _fast_pixel_values(
        self,
        images: Iterable[PIL.Image.Image],
        num_images: int,
        size: Any,
        resample: int,
        image_mean: tuple[float, float, float],
        image_std: tuple[float, float, float],
        return_tensors: Any,
        **kwargs: Any,
    ) -> BatchFeature:
        # Memory through numpy, which asks the system for large pages. First access to many small ones takes longer
        # than normalising.
        values_ICHW = np.empty((num_images, 3, size.height, size.width), dtype=np.float32)
        mean_C11, std_C11 = (np.array(values, dtype=np.float32)[:, None, None] for values in (image_mean, image_std))

        def preprocess(image: PIL.Image.Image, values_CHW: np.ndarray) -> None:
            lines = image.resize((size.width, size.height), resample=resample).tobytes("raw", "RGB;L")
            pixels_HCW = np.frombuffer(lines, dtype=np.uint8).reshape(size.height, 3, size.width)
            values_CHW[...] = pixels_HCW.transpose(1, 0, 2)
            values_CHW /= 255
            values_CHW -= mean_C11
            values_CHW /= std_C11

        _run_on_threads(preprocess, images, values_ICHW)
        if str(return_tensors) in ("pt", "TensorType.PYTORCH"):
            return BatchFeature({"pixel_values": torch.from_numpy(values_ICHW)})
        return BatchFeature({"pixel_values": list(values_ICHW)}, tensor_type=return_tensors)


def _run_on_threads(preprocess: Callable[..., None], images: Iterable[PIL.Image.Image], values: np.ndarray) -> None:
    """Call `preprocess` for each image and its part of `values`.

    Images are decoded one after the other, because lazily opened ones may share a file. They are preprocessed on as
    many threads as torch uses (one in a DataLoader worker), this one among them, but not by torch: its threads would
    wait for these and burn time. At most two decoded images for each other thread wait, so that large images do not
    fill the memory.
    """
    num_others = torch.get_num_threads() - 1
    pending = deque[Any]()
    for image, part in zip(images, values, strict=True):
        while pending and pending[0].done():
            pending.popleft().result()
        if len(pending) < 2 * num_others:
            pending.append(_threads(num_others).submit(preprocess, image, part))
        else:
            preprocess(image, part)
    while pending:
        pending.popleft().result()


@functools.cache
def _threads(num_threads: int) -> ThreadPoolExecutor:
    """The thread pool. It is kept because starting threads for every batch costs half of the time they save."""
    return ThreadPoolExecutor(num_threads, thread_name_prefix="resize")


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_threads.cache_clear)  # a fork inherits the pool, but not its threads


def is_usual(settings: dict[str, Any]) -> bool:
    """Whether the fast path covers these settings: convert to RGB, resize, divide by 255, normalise, nothing else."""
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


def load_upright_rgb(image: Any, name: str = "the image", *, allow_private_urls: bool = False) -> PIL.Image.Image:
    """Return `image` as an upright RGB image. If it is an upright RGB PIL image already, return the same object.

    Args:
        image: a PIL image; a numpy array or tensor (H, W), (H, W, C) or (C, H, W) with 1, 3 or 4 channels, of
            integers in 0..255 (uint16: 0..65535) or floats in 0..1 or 0..255; a path; an http(s) or file URL; a data
            URI or base64 text; the bytes of an image file. Floats up to a tenth of their range outside it are clipped,
            because resizing leaves them there.
        name: the name of the image in messages, such as "image 3".
        allow_private_urls: also ask addresses that are not of the public internet, such as 127.0.0.1.

    Raises:
        ValueError: the file is missing, broken, cut off, too large or not an image, or the values are out of range.
            The message holds `name` and the path.
        TypeError: `image` has an unsupported type.
    """
    try:
        return upright_rgb(_loaded(image, name, allow_private_urls))
    except RefusedImageError as error:
        message = f"{name} ({_described(image)}) cannot be read as an image ({error}). Check it, or leave it out."
        raise ValueError(message) from error


def _loaded(image: Any, name: str, allow_private_urls: bool) -> PIL.Image.Image:
    """The image with its pixels, in any mode."""
    if isinstance(image, PIL.Image.Image):
        load_opened(image)
        return image
    if isinstance(image, bytes | bytearray | memoryview):
        check_size(len(image), MAX_BYTES)
        return decode(bytes(image))
    if isinstance(image, str):
        return decode(read_source(image, max_bytes=MAX_BYTES, allow_private_urls=allow_private_urls))
    if isinstance(image, os.PathLike):
        return decode(read_file(Path(os.fsdecode(image)), max_bytes=MAX_BYTES))
    if is_numpy_array(image) or is_torch_tensor(image):
        return image_from_values(image)
    raise TypeError(
        f"{name} is of type {type(image).__name__}, expected a PIL image, a numpy array, a tensor, a path, a URL, "
        "base64 text or the bytes of an image file."
    )


def _described(image: Any) -> str:
    if isinstance(image, PIL.Image.Image):
        return f"a PIL image of mode {image.mode}"
    if isinstance(image, bytes | bytearray | memoryview):
        return f"{len(image):,} bytes"
    if isinstance(image, str | os.PathLike):
        return shown_source(os.fsdecode(image))
    return f"an array of shape {tuple(image.shape)}" if is_array(image) else "a tensor"


def flat_list(images: Any) -> list[Any]:
    """Flatten one image, a list, a list of lists or a batch in one array to a list of images."""
    if is_list(images):
        return [image for entry in images for image in flat_list(entry)]
    return list(images) if is_array(images) and images.ndim == 4 else [images]


def is_list(images: Any) -> bool:
    return isinstance(images, list | tuple)


def is_array(images: Any) -> bool:
    """Whether these are values in memory, whose dimensions can be counted and split."""
    return is_numpy_array(images) or (is_torch_tensor(images) and is_plain_tensor(images))
