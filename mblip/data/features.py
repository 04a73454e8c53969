"""Features of images, encoded once by `mblip encode` and read by every epoch and evaluation: their keys and files.

A *feature set* is a folder with the output of one frozen part of the model. Its shards (safetensors) hold `keys` (N,
16) and `features` (N, P, H) or (N, Q, W). `features.json` holds the set's identity: digests and settings of all that
shapes its features. A shard is written atomically, and `features.json` lists the shards once all are there.

The key of an image is a digest of its encoded file, so that a reader need not decode it. The key of an augmented image
also holds what its draw depends on (see `augment` and `stable_random` in collator.py).

Shape suffixes: N = images of a shard, P = patches, H = width of the tower, Q = query tokens per image, W = width of
the Q-Former.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy
import safetensors.torch
import torch
from PIL import Image as PILImage
from safetensors import SafetensorError, safe_open
from xxhash import xxh3_128_digest

from mblip.atomic_write import PARTIAL, atomic_file, read_json, write_text
from processing_mblip.image_processing_mblip import load_upright_rgb

from .augmentation import Augmentation, is_flip_safe
from .images import Image, StoredImage
from .images.locations import read_encoded

logger = logging.getLogger(__name__)

FEATURES_FILE, SUFFIX = "features.json", ".safetensors"
SHARD_BYTES = 1 << 27
# Entries of features.json beside the identity. The second is that of a finished set
FILES, SHARDS = "files", "shards"
AGAIN = "Run `mblip encode` on this recipe again."
FeatureInput = Literal["vision_features", "query_features"]  # the model's input that the features are
Identity = Mapping[str, Any]  # plain values of JSON, each by a name that error messages use


def image_key(image: Image | StoredImage, *, name: str) -> bytes:
    """The key of an image as it is: a digest of its encoded file, or of a PIL image's pixels.

    Raises:
        ValueError: the image cannot be read.
    """
    if isinstance(image, PILImage.Image):
        pixels = load_upright_rgb(image)
        return xxh3_128_digest(f"{pixels.size}".encode() + pixels.tobytes())
    return xxh3_128_digest(read_encoded(image, name=name))


def augmented_keys(
    keys: Sequence[bytes], row: Mapping[str, Any], augmentation: Augmentation, draw: int
) -> list[bytes]:
    """The keys of a row's augmented images, given their keys as they are. `draw` is the epoch of their draw.

    The same image has another key in a row whose texts forbid to flip it.
    """
    may_flip = is_flip_safe(row, augmentation)
    return [
        xxh3_128_digest(json.dumps([key.hex(), row["image_id"], number, draw, may_flip]).encode())
        for number, key in enumerate(keys)
    ]


class FeatureSet:
    """The features in a folder, memory-mapped. Data loader workers may hold copies.

    Args:
        expected: the identity that they must have.

    Raises:
        ValueError: the features are of another identity (the message names the difference), they are not all there,
            or a shard is damaged.
    """

    def __init__(self, folder: Path, expected: Identity) -> None:
        self.folder = folder
        found = check_identity(folder, expected)
        self.input: FeatureInput = found["input"]
        self.augmentations: int | None = found["augmentations"]
        if SHARDS not in found:
            raise ValueError(f"{folder} is not finished: `mblip encode` was stopped. {AGAIN} It continues.")
        for name, size in found[SHARDS].items():
            path = folder / name
            if not path.is_file() or path.stat().st_size != size:
                has = f"has {path.stat().st_size:,} bytes" if path.is_file() else "is missing"
                raise ValueError(f"{path} {has}, expected {size:,} bytes. {AGAIN}")
        self._paths = [folder / name for name in sorted(found[SHARDS])]
        keys = [read_keys(path) for path in self._paths]
        self._starts = numpy.cumsum([0, *map(len, keys)])
        joined = numpy.concatenate([_sortable(b""), *keys])
        self._order = numpy.argsort(joined)
        self._keys = joined[self._order]
        self._mapped: dict[int, torch.Tensor] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, key: bytes) -> bool:
        return self._find(key) is not None

    def read(self, keys: Sequence[bytes], names: Sequence[str]) -> torch.Tensor:
        """The features of images, one row for each key. Raises as `row_of`."""
        rows = []
        for key, name in zip(keys, names, strict=True):
            position = self.row_of(key, name)
            shard = int(numpy.searchsorted(self._starts, position, side="right")) - 1
            rows.append(self._shard(shard)[position - self._starts[shard]])
        return torch.stack(rows)

    def row_of(self, key: bytes, name: str) -> int:
        """The position of an image among all rows of all shards. `name` is the image's in errors.

        Raises:
            ValueError: the image has no features here. The message names it.
        """
        if (position := self._find(key)) is None:
            raise ValueError(f"{name}: {self.folder} holds no features of this image. {AGAIN}")
        return position

    def _find(self, key: bytes) -> int | None:
        wanted = _sortable(key)
        place = int(numpy.searchsorted(self._keys, wanted)[0])
        return int(self._order[place]) if place < len(self) and self._keys[place] == wanted[0] else None

    def _shard(self, number: int) -> torch.Tensor:
        if number not in self._mapped:
            with safe_open(self._paths[number], framework="pt") as file:
                self._mapped[number] = file.get_tensor("features")  # mapped, not read
        return self._mapped[number]

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_mapped": {}}


class FeatureWriter:
    """Writes the shards of a feature set. Every image has its key in one shard.

    Args:
        bytes_per_image: the size of an image's features.
    """

    def __init__(self, folder: Path, bytes_per_image: int) -> None:
        self.folder = folder
        self.images_per_shard = max(1, SHARD_BYTES // bytes_per_image)
        self.keys: list[bytes] = []
        self.features: list[torch.Tensor] = []

    def add(self, keys: Sequence[bytes], features: torch.Tensor) -> None:
        """Add the features of images, one row for each key. Full shards are written."""
        for key, row in zip(keys, features, strict=True):
            self.keys.append(key)
            self.features.append(row)
            if len(self.keys) == self.images_per_shard:
                self.flush()

    def flush(self) -> None:
        """Write what has not been written, under the name of its first key: no two processes have it."""
        if not self.keys:
            return
        tensors = {
            "keys": torch.from_numpy(numpy.frombuffer(b"".join(self.keys), numpy.uint8).reshape(-1, 16).copy()),
            "features": torch.stack(self.features),
        }
        with atomic_file(self.folder / f"{self.keys[0].hex()}{SUFFIX}") as partial:
            safetensors.torch.save_file(tensors, partial)
        self.keys, self.features = [], []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *error: object) -> None:
        if kind is None:
            self.flush()


def begin_set(folder: Path, identity: Identity, files: Any) -> None:
    """Begin or continue a feature set. It is not finished from here on. What a killed process left is removed.

    Args:
        files: plain values that tell later whether the weights of `identity` are still those on the disk.

    Raises:
        ValueError: the folder holds features of another identity.
    """
    if (folder / FEATURES_FILE).exists():
        check_identity(folder, identity)
    for partial in folder.glob(f".*{SUFFIX}{PARTIAL}"):
        partial.unlink()
    write_text(folder / FEATURES_FILE, json.dumps({**identity, FILES: files}, indent=1) + "\n")


def finish_set(folder: Path) -> None:
    """Declare a set finished: list its shards with their sizes."""
    begun = read_json(folder / FEATURES_FILE, AGAIN)
    shards = {path.name: path.stat().st_size for path in sorted(folder.glob(f"*{SUFFIX}"))}
    write_text(folder / FEATURES_FILE, json.dumps({**begun, SHARDS: shards}, indent=1) + "\n")


def check_identity(folder: Path, expected: Identity) -> dict[str, Any]:
    """The content of features.json.

    Raises:
        ValueError: it is missing or damaged, or has another identity than `expected`. The message names the first
            difference.
    """
    if not (folder / FEATURES_FILE).is_file():
        raise ValueError(f"There are no features in {folder}. First run `mblip encode` on this recipe.")
    found = read_json(folder / FEATURES_FILE, f"Delete {folder}, and run `mblip encode` on this recipe again.")
    for name, value in json.loads(json.dumps(expected)).items():
        if found.get(name) != value:
            raise ValueError(
                f"{folder} holds features of another {name}: found {found.get(name)}, expected {value}. Give another "
                f"`features.path`, or delete {folder}; then run `mblip encode` on this recipe."
            )
    return found


def encoded_keys(folder: Path) -> set[bytes]:
    """The keys in the shards of a set under way. A damaged shard is deleted, with a warning."""
    keys: set[bytes] = set()
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            keys.update(key.tobytes() for key in read_keys(path))
        except ValueError as error:
            logger.warning("%s Its images are encoded again.", error)
            path.unlink()
    return keys


def read_keys(shard: Path) -> numpy.ndarray:
    """The keys of a shard, sortable.

    Raises:
        ValueError: the file is damaged.
    """
    try:
        with safe_open(shard, framework="np") as file:
            return _sortable(file.get_tensor("keys").tobytes())
    except SafetensorError as error:
        raise ValueError(f"{shard} is damaged ({error}). {AGAIN}") from error


def _sortable(keys: bytes) -> numpy.ndarray:
    return numpy.frombuffer(keys, [("high", ">u8"), ("low", ">u8")])
