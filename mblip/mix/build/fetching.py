"""Step 2 of a build: the images of a shard that are URLs, fetched into a folder of the shard's own."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mblip.data.images.places import FetchedBytes, is_url
from mblip.data.whole_files import write_text

from ..fetching.fetch import FetchReport, fetch_images
from ..fetching.fetched_images import FetchedImages
from ..fetching.settings import FetchSettings
from .folder import BuildFolder
from .reading import examples_of
from .recipe import MixRecipe

UNREACHED = frozenset({"host not found", "no connection", "no connection in time"})  # causes of failures
MANY_HOSTS = 20  # that are not all down at once


@dataclass(frozen=True)
class FetchingStep:
    """Task n fetches for shard n. Called as datatrove calls the steps of a pipeline.

    So many tasks as run at a time share what a host is asked of: together they are as polite as one.
    """

    recipe: MixRecipe
    folder: BuildFolder
    num_at_once: int = 1

    def __call__(self, data: Any, rank: int, world_size: int) -> None:
        fetch_for_shard(self.recipe, rank, self.folder, self.settings)

    @property
    def settings(self) -> FetchSettings:
        """How one task fetches."""
        whole = self.recipe.fetching
        return replace(
            whole,
            requests_per_second_per_host=whole.requests_per_second_per_host / self.num_at_once,
            connections_per_host=max(1, whole.connections_per_host // self.num_at_once),
        )


def fetch_for_shard(recipe: MixRecipe, number: int, folder: BuildFolder, settings: FetchSettings) -> None:
    """Fetch what is not fetched yet, unless the shard is built. What cannot be had is no error here: its examples are
    left out, counted and named, when the shard is built.

    Raises:
        OSError: no host at all could be reached, of so many that the network must be down.
    """
    if folder.shard(number, recipe.num_shards).is_file():
        return
    urls = list(dict.fromkeys(_urls(recipe, number, folder)))
    if urls:
        report = fetch_images(urls, folder.fetched(number), settings=settings)
        _check_network(urls, report, folder.fetched(number))
        write_text(folder.fetched(number) / "report.md", report.table())


def _check_network(urls: Sequence[str], report: FetchReport, fetched: Path) -> None:
    """Raises OSError where many hosts were asked and none was reached; it is forgotten that they were asked."""
    hosts = {urlsplit(url).netloc for url in urls}
    if len(hosts) < MANY_HOSTS or report.failures.total() < len(urls) or not report.failures.keys() <= UNREACHED:
        return
    shutil.rmtree(fetched)
    raise OSError(
        f"None of {len(hosts):,} hosts of images could be reached ({', '.join(sorted(report.failures))}): is this "
        "machine on the internet? Run the same command again when it is, or on one that is."
    )


def fetched_images(number: int, folder: BuildFolder) -> FetchedBytes | None:
    """Gives the bytes of the URLs of a shard; None where it has none."""
    return FetchedImages(folder.fetched(number)).read if folder.fetched(number).is_dir() else None


def _urls(recipe: MixRecipe, number: int, folder: BuildFolder) -> Iterator[str]:
    for source in range(len(recipe.sources)):
        for example in examples_of(source, number, folder):
            yield from (image for image in example.images if isinstance(image, str) and is_url(image))
