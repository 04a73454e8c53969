"""The images of a shard. Step 2 of a build fetches those that are URLs; step 3 reads them all from their locations.

Sources may give different locations for the same photo (two releases of COCO, a folder and a URL), and not every
location has it. We try the locations in the order of the recipe's sources, so the same files give the same bytes in
every build.
"""

import dataclasses
import logging
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from mblip.atomic_write import write_text
from mblip.data.example import Example
from mblip.data.images import Refused
from mblip.data.images.check import CheckedImage, ImageSettings, black_image, check_location
from mblip.data.images.locations import FetchedBytes, Location, is_url, location_name

from ..fetching.fetch import FetchReport, fetch_images
from ..fetching.fetched_images import FetchedImages
from ..fetching.settings import FetchSettings
from .folder import BuildFolder
from .reading import examples_of
from .recipe import MixRecipe

logger = logging.getLogger(__name__)

UNREACHED = frozenset({"host not found", "no connection", "no connection in time"})  # causes of failure
MANY_HOSTS = 20  # so many hosts are never all down at once


def fetch_for_shard(recipe: MixRecipe, folder: BuildFolder, num_at_once: int, number: int) -> None:
    """Fetch missing images, unless the shard is built.

    A failed image is no error here. When the shard is built, its examples are skipped, counted and named.

    Args:
        num_at_once: the number of tasks that fetch at a time.
    Raises:
        OSError: no host was reached, and there are so many that the network must be down.
    """
    if folder.is_built(number, recipe.num_shards):
        return
    urls = list(dict.fromkeys(_urls(recipe, number, folder)))
    if urls:
        settings = shared_settings(recipe.fetching, num_at_once)
        report = fetch_images(urls, folder.fetched(number), settings=settings)
        _check_network(urls, report, folder.fetched(number))
        write_text(folder.fetched(number) / "report.md", report.table())


def shared_settings(whole: FetchSettings, num_at_once: int) -> FetchSettings:
    """The settings of one task when `num_at_once` tasks fetch at a time. Together they load a host like one task."""
    return dataclasses.replace(
        whole,
        requests_per_second_per_host=whole.requests_per_second_per_host / num_at_once,
        connections_per_host=max(1, whole.connections_per_host // num_at_once),
    )


def fetched_images(number: int, folder: BuildFolder) -> FetchedBytes | None:
    """The bytes of a shard's URLs; None if it has none."""
    return FetchedImages(folder.fetched(number)).read if folder.fetched(number).is_dir() else None


class ImageSets:
    """The locations of each `image_id`'s images, collected from the examples that pass through `sharing`."""

    def __init__(self) -> None:
        self._locations: dict[str, list[tuple[Location, ...]]] = {}

    def sharing(self, examples: Iterable[Example]) -> Iterator[Example]:
        """The examples. Those of one image set get the images that the first of them names."""
        for example in examples:
            images = cast(tuple[Location, ...], example.images)  # in a build, images are always locations (reading.py)
            locations = self._locations.setdefault(example.image_id, [])
            if images not in locations:
                locations.append(images)
            yield dataclasses.replace(example, images=locations[0])

    def stored(
        self, image_id: str, settings: ImageSettings, fetched: FetchedBytes | None
    ) -> list[dict[str, Any]] | Refused:
        """The images of a set as a row holds them, from the first locations where all are readable.

        If there are none, the reason for refusing those at the first locations.
        """
        first: Refused | None = None
        for locations in self._locations[image_id]:
            found = _stored(locations, settings, fetched)
            if not isinstance(found, Refused):
                if first is not None:
                    logger.info("%s: taken from another location; the first was refused (%s).", image_id, first)
                return found
            first = first or found
        assert first is not None  # every set has locations
        return first

    def as_released(
        self, image_id: str, settings: ImageSettings, fetched: FetchedBytes | None
    ) -> list[dict[str, Any]]:
        """The images of a set at its first locations, with a black image for each refused one."""
        locations = self._locations[image_id][0]
        found = (check_location(location, settings, fetched=fetched) for location in locations)
        return [
            _record(location, black_image() if isinstance(image, Refused) else image)
            for location, image in zip(locations, found, strict=True)
        ]


def _check_network(urls: Sequence[str], report: FetchReport, fetched: Path) -> None:
    """Raise OSError if many hosts were asked and none was reached. The failed attempts are then forgotten."""
    hosts = {urlsplit(url).netloc for url in urls}
    if len(hosts) < MANY_HOSTS or report.failures.total() < len(urls) or not report.failures.keys() <= UNREACHED:
        return
    shutil.rmtree(fetched)
    raise OSError(
        f"Reached 0 of {len(hosts):,} image hosts ({', '.join(sorted(report.failures))}). "
        "Check the network, then run the same command again."
    )


def _urls(recipe: MixRecipe, number: int, folder: BuildFolder) -> Iterator[str]:
    for source in range(len(recipe.sources)):
        for example in examples_of(source, number, folder):
            yield from (image for image in example.images if isinstance(image, str) and is_url(image))


def _stored(
    locations: Sequence[Location], settings: ImageSettings, fetched: FetchedBytes | None
) -> list[dict[str, Any]] | Refused:
    images = []
    for location in locations:
        found = check_location(location, settings, fetched=fetched)
        if isinstance(found, Refused):
            return found
        images.append(_record(location, found))
    return images


def _record(location: Location, image: CheckedImage) -> dict[str, Any]:
    """An image as a row holds it. Its name is the last part of its location, with the extension of its format."""
    stem = location_name(location).rpartition(".")[0]
    ending = {"JPEG": "jpg"}.get(image.format, image.format.lower())
    return {"bytes": image.bytes, "path": f"{stem or image.sha256[:16]}.{ending}"}
