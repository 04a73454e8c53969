"""Embeddings of captions and pictures by any CLIP or SigLIP of transformers.

    embedder = Embedder.from_pretrained("openai/clip-vit-large-patch14", device="cuda")
    captions = store_embeddings(embedder.embed_captions(examples), folder / "captions")
    images = store_embeddings(embedder.embed_images(pictures), folder / "images")

Embeddings have length 1, so that their inner product is the cosine similarity that these models are trained for. The
original searched by Euclidean distance between vectors as long as they came, the defaults of open_clip and `datasets`.

Letters at the end of names: B = items of a batch, D = width of an embedding.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from PIL import Image as PILImage
from PIL import ImageOps
from transformers import AutoModel, AutoProcessor

from mblip.data.example import Example
from mblip.data.model_folder import open_model_folder

from .embedding_store import EmbeddedBatch

Item = TypeVar("Item")


@runtime_checkable
class _TwoTowers(Protocol):
    """What CLIP, SigLIP and their kin have in common."""

    def get_text_features(self, *args: Any, **kwargs: Any) -> Any: ...

    def get_image_features(self, *args: Any, **kwargs: Any) -> Any: ...


@dataclass(frozen=True)
class Embedder:
    """A model with its processor; `name` and `revision` are the provenance of what it embeds."""

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
        """Load a model of the Hub or of a folder.

        Raises:
            ValueError: the model does not embed texts and images.
        """
        folder = open_model_folder(model, revision=revision)
        loaded = AutoModel.from_pretrained(folder.path, dtype=dtype)
        has_two_towers = isinstance(loaded, _TwoTowers)
        if not has_two_towers:
            raise ValueError(
                f"{folder.name} is a {type(loaded).__name__}, expected a model with `get_text_features` and "
                "`get_image_features`, such as a CLIP or a SigLIP."
            )
        processor = AutoProcessor.from_pretrained(folder.path)
        return cls(loaded.to(device).eval(), processor, folder.name, folder.revision)

    def embed_captions(self, captions: Iterable[Example], *, batch_size: int = 256) -> Iterator[EmbeddedBatch]:
        """The targets of examples, in their order: columns source, id, image_id, language and text.

        A caption longer than the model takes is cut where its own processor cuts it.

        Raises:
            ValueError: an embedding is not finite; the message names the caption.
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
        """Pictures, each with its `image_id`, in their order: a column image_id.

        Raises:
            ValueError: an embedding is not finite; the message names the image.
        """
        for batch in _in_batches(images, batch_size):
            image_ids = [image_id for image_id, _ in batch]
            embeddings_BD = self._embed_pictures([picture for _, picture in batch])
            yield self._batch(
                {"image_id": image_ids}, embeddings_BD, [f"Image {image_id!r}" for image_id in image_ids]
            )

    def _embed_texts(self, texts: list[str]) -> torch.Tensor:
        """SigLIP was trained on texts of full length and without a mask, so transformers' own pipeline asks for its
        `model_type`, as here; others take what their tokenizer gives."""
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

    def _embed_pictures(self, pictures: list[PILImage.Image]) -> torch.Tensor:
        upright = [ImageOps.exif_transpose(picture).convert("RGB") for picture in pictures]
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
                    "Take a wider dtype, such as torch.float32, or fetch the weights again."
                )
        provenance = {"model": [self.name] * len(names), "revision": [self.revision] * len(names)}
        return EmbeddedBatch(columns | provenance, embeddings_BD.numpy())


def _in_batches(items: Iterable[Item], batch_size: int) -> Iterator[Sequence[Item]]:
    waiting = iter(items)
    while batch := list(islice(waiting, batch_size)):
        yield batch
