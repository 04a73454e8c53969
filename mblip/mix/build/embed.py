"""Compute the embeddings that a recipe's caption matching uses to find hard negatives.

    mblip embed mix_corrected --model openai/clip-vit-large-patch14 --fetched images

For every source `matching` with `embeddings` in the recipe, this writes the folders named there, unless they exist.
Images by URL are fetched into the folder --fetched, with the recipe's `fetching` settings, unless they are already
there. Unreadable images are skipped, counted and named. No example then asks about their captions.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image as PILImage

from mblip.data.example import Example
from mblip.data.images import Image, RefusedImageError, decode
from mblip.data.images.locations import FetchedBytes, is_url, open_bytes
from mblip.data.skipped import SkipReport
from mblip.recipes import find_recipe

from ..fetching.fetch import fetch_images
from ..fetching.fetched_images import FetchedImages
from ..filters.embeddings import Embedder, store_embeddings
from .recipe import MixRecipe, MixSource, read_mix_recipe


def main(arguments: Sequence[str]) -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="mblip embed", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe", help="a recipe of a mix, by its path or short name")
    parser.add_argument("--model", required=True, help="a CLIP or SigLIP: a name on the Hub, or a folder")
    parser.add_argument("--revision", help="of the model")
    parser.add_argument("--device", default="cpu", help="default: %(default)s")
    parser.add_argument("--fetched", type=Path, help="the folder of images by URL, existing or to fetch")
    given = parser.parse_args(arguments)
    recipe = read_mix_recipe(find_recipe(given.recipe))
    embedder = Embedder.from_pretrained(given.model, revision=given.revision, device=given.device)
    skipped = embed_sources(recipe, embedder, fetched_folder=given.fetched)
    if skipped.counts:
        print(skipped.table())


def embed_sources(recipe: MixRecipe, embedder: Embedder, *, fetched_folder: Path | None = None) -> SkipReport:
    """Write the embeddings that the recipe's caption matching names.

    Returns:
        The images that could not be read.
    Raises:
        ValueError: the recipe has no caption matching with embeddings.
    """
    sources = [source for source in recipe.sources if source.source == "matching" and "embeddings" in source.arguments]
    if not sources:
        raise ValueError(
            "Found no source `matching` with `embeddings` in the recipe, so there is nothing to embed. Add one."
        )
    skipped = SkipReport()
    fetched = None if fetched_folder is None else FetchedImages(fetched_folder).read
    for source in sources:
        folders = source.arguments["embeddings"]
        if not folders.captions.exists():
            store_embeddings(embedder.embed_captions(_captions(recipe, source)), folders.captions)
        if not folders.images.exists():
            if fetched_folder is not None:
                fetch_images(_urls(_captions(recipe, source)), fetched_folder, settings=recipe.fetching)
            images = _images(_captions(recipe, source), fetched, skipped)
            store_embeddings(embedder.embed_images(images), folders.images)
    return skipped


def _captions(recipe: MixRecipe, source: MixSource) -> Iterator[Example]:
    """The captions of the source. A caption that a file repeats, with its id, comes once."""
    seen: set[tuple[str, str]] = set()
    for caption in source.arguments["captions"].examples(recipe.seed, SkipReport()):
        if (caption.source, caption.id) not in seen:
            seen.add((caption.source, caption.id))
            yield caption


def _urls(captions: Iterator[Example]) -> Iterator[str]:
    """The URLs among the images of the captions."""
    return (image for caption in captions for image in caption.images if isinstance(image, str) and is_url(image))


def _images(
    captions: Iterator[Example], fetched: FetchedBytes | None, skipped: SkipReport
) -> Iterator[tuple[str, PILImage.Image]]:
    """The images of the captions, each once."""
    seen: set[str] = set()
    for caption in captions:
        if caption.image_id in seen:
            continue
        seen.add(caption.image_id)
        try:
            yield caption.image_id, _open(caption.images[0], fetched)
        except RefusedImageError as error:
            skipped.add(f"image refused: {error.refused.reason}", caption.image_id)


def _open(image: Image, fetched: FetchedBytes | None) -> PILImage.Image:
    if isinstance(image, PILImage.Image):
        return image
    return decode(image if isinstance(image, bytes) else open_bytes(image, fetched=fetched))
