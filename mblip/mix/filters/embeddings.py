"""Embeddings of captions and images by any CLIP or SigLIP of transformers, and their folders on disk.

    embedder = Embedder.from_pretrained("openai/clip-vit-large-patch14", device="cuda")
    captions = store_embeddings(embedder.embed_captions(examples), folder / "captions")
    images = store_embeddings(embedder.embed_images(images), folder / "images")

A folder holds one row per caption or image: text columns, among them the "model" and "revision" that made it, and
"embedding". `datasets.load_from_disk` reads it. Memory holds one batch at a time. Writes are atomic: a folder that
exists is complete.

Embeddings have length 1, so their inner product is the cosine similarity that these models are trained for. The
original searched by Euclidean distance between unnormalised vectors, the default of open_clip and `datasets`.

Shape suffixes: B = items of a batch, D = width of an embedding.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import datasets
import numpy as np
import torch
from datasets.arrow_writer import ArrowWriter
from PIL import Image as PILImage
from PIL import ImageOps
from transformers import AutoModel, AutoProcessor

from mblip.atomic_write import atomic_folder
from mblip.data.example import Example

from ..model_folder import open_model_folder

EMBEDDING = "embedding"
Item = TypeVar("Item")


@dataclass(frozen=True)
class EmbeddedBatch:
    """Text columns and embeddings (B, D), float32, of some rows."""

    columns: Mapping[str, list[str]]
    embeddings: np.ndarray


@dataclass(frozen=True)
class Embedder:
    """A model with its processor. `name` and `revision` are the provenance of its embeddings."""

    model: Any
    processor: Any
    name: str
    revision: str

    @classmethod
    def from_pretrained(
        cls,
        model: str | Path,
        *,
        revision: str | None = None,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> "Embedder":
        """Load a model from the Hub or a folder.

        Raises:
            ValueError: the model does not embed texts and images.
        """
        folder = open_model_folder(model, revision=revision)
        loaded = AutoModel.from_pretrained(folder.path, dtype=dtype)
        if not (hasattr(loaded, "get_text_features") and hasattr(loaded, "get_image_features")):
            raise ValueError(
                f"{folder.name} is a {type(loaded).__name__}, expected a model with `get_text_features` and "
                "`get_image_features`, such as a CLIP or a SigLIP."
            )
        processor = AutoProcessor.from_pretrained(folder.path)
        return cls(loaded.to(device).eval(), processor, folder.name, folder.revision)

    def embed_captions(self, captions: Iterable[Example], *, batch_size: int = 256) -> Iterator[EmbeddedBatch]:
        """Embed the targets of examples, in order. Text columns: source, id, image_id, language and text.

        A caption that is too long for the model is cut by its own processor.

        Raises:
            ValueError: an embedding is not finite. The message names the caption.
        """
        for batch in _in_batches(captions, batch_size):
            columns = {
                "source": [caption.source for caption in batch],
                "id": [caption.id for caption in batch],
                "image_id": [caption.image_id for caption in batch],
                "language": [caption.language for caption in batch],
                "text": [caption.target for caption in batch],
            }
            names = [caption.name for caption in batch]
            yield self._batch(columns, self._embed_texts(columns["text"]), names)

    def embed_images(
        self, images: Iterable[tuple[str, PILImage.Image]], *, batch_size: int = 64
    ) -> Iterator[EmbeddedBatch]:
        """Embed images, each given with its `image_id`, in order. Text column: image_id.

        Raises:
            ValueError: an embedding is not finite. The message names the image.
        """
        for batch in _in_batches(images, batch_size):
            image_ids = [image_id for image_id, _ in batch]
            embeddings_BD = self._embed_images([image for _, image in batch])
            yield self._batch(
                {"image_id": image_ids}, embeddings_BD, [f"Image {image_id!r}" for image_id in image_ids]
            )

    def _embed_texts(self, texts: list[str]) -> torch.Tensor:
        """Embed texts.

        SigLIP was trained on texts padded to full length, without a mask. We therefore check its `model_type`, as
        transformers' own pipeline does. Other models take their tokenizer's output.
        """
        config, tokenizer = self.model.config, self.processor.tokenizer
        is_siglip = "siglip" in config.model_type
        inputs = self.processor(
            text=texts,
            padding="max_length" if is_siglip else "longest",
            truncation=True,
            max_length=min(tokenizer.model_max_length, config.text_config.max_position_embeddings),
            return_tensors="pt",
        )
        if is_siglip:
            inputs.pop("attention_mask", None)
        return self._features(self.model.get_text_features, inputs)

    def _embed_images(self, images: list[PILImage.Image]) -> torch.Tensor:
        upright = [ImageOps.exif_transpose(image).convert("RGB") for image in images]
        inputs = self.processor(images=upright, return_tensors="pt")
        inputs["pixel_values"] = inputs["pixel_values"].to(self.model.dtype)
        return self._features(self.model.get_image_features, inputs)

    def _features(self, tower: Callable[..., Any], inputs: Any) -> torch.Tensor:
        with torch.inference_mode():
            features_BD = tower(**inputs.to(self.model.device)).pooler_output.float()
        return torch.nn.functional.normalize(features_BD, dim=-1).cpu()

    def _batch(self, columns: dict[str, list[str]], embeddings_BD: torch.Tensor, names: list[str]) -> EmbeddedBatch:
        is_finite_B = embeddings_BD.isfinite().all(dim=1).tolist()
        for name, is_finite in zip(names, is_finite_B, strict=True):
            if not is_finite:
                raise ValueError(
                    f"{name}: its embedding by {self.name} in {self.model.dtype} is not finite. "
                    "Use a wider dtype, such as torch.float32, or fetch the weights again."
                )
        provenance = {"model": [self.name] * len(names), "revision": [self.revision] * len(names)}
        return EmbeddedBatch(columns | provenance, embeddings_BD.numpy())


def store_embeddings(batches: Iterable[EmbeddedBatch], folder: str | Path) -> datasets.Dataset:
    """Write batches to a folder and open it.

    Raises:
        ValueError: the folder already exists, or there is no batch.
    """
    folder = Path(folder)
    if folder.exists():
        raise ValueError(f"{folder} already exists. Read it with `datasets.load_from_disk`, or remove it.")
    with atomic_folder(folder) as partial:
        rows = partial.with_name(f"{partial.name}.arrow")
        try:
            _write(batches, rows, folder)
            datasets.Dataset.from_file(str(rows)).save_to_disk(partial)
        finally:
            rows.unlink(missing_ok=True)
    return datasets.load_from_disk(folder)


def embeddings_of(rows: datasets.Dataset) -> np.ndarray:
    """All embeddings in memory: (N, D), float32."""
    column = rows.with_format("arrow")[:][EMBEDDING].combine_chunks()
    return column.flatten().to_numpy().reshape(len(rows), -1)


def _write(batches: Iterable[EmbeddedBatch], path: Path, folder: Path) -> None:
    waiting = iter(batches)
    batch = next(waiting, None)
    if batch is None:
        raise ValueError(f"There is nothing to write to {folder}, expected at least one embedding.")
    width = batch.embeddings.shape[1]
    features = {column: datasets.Value("string") for column in batch.columns}
    embedding = datasets.List(datasets.Value("float32"), length=width)
    with ArrowWriter(path=str(path), features=datasets.Features(features | {EMBEDDING: embedding})) as writer:
        while batch is not None:
            writer.write_batch({**batch.columns, EMBEDDING: list(batch.embeddings)})
            batch = next(waiting, None)
        writer.finalize()


def _in_batches(items: Iterable[Item], batch_size: int) -> Iterator[Sequence[Item]]:
    waiting = iter(items)
    while batch := list(islice(waiting, batch_size)):
        yield batch
