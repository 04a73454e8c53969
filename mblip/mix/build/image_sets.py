"""The images of a shard, read from where its sources say they are.

Sources may find the same photo at different places (two releases of COCO, a folder and a URL), and not every place has
it. The places are tried in the order of the recipe's sources, so the same files give the same bytes in every build.
"""

import dataclasses
import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

from mblip.data.example import Example
from mblip.data.images.check import CheckedImage, ImageSettings, black_picture, check_place
from mblip.data.images.places import FetchedBytes, Place, place_name
from mblip.data.images.refusal import Refused

logger = logging.getLogger(__name__)


class ImageSets:
    """Where the images of each `image_id` are, by the examples that came through `sharing`."""

    def __init__(self) -> None:
        self._places: dict[str, list[tuple[Place, ...]]] = {}

    def sharing(self, examples: Iterable[Example]) -> Iterator[Example]:
        """The examples, those of one image set with the images that the first of them names."""
        for example in examples:
            images = cast(tuple[Place, ...], example.images)  # in a build they are nothing else (example_lines.py)
            places = self._places.setdefault(example.image_id, [])
            if images not in places:
                places.append(images)
            yield dataclasses.replace(example, images=places[0])

    def stored(
        self, image_id: str, settings: ImageSettings, fetched: FetchedBytes | None
    ) -> list[dict[str, Any]] | Refused:
        """The images of a set as a row holds them, from the first places where all can be read; where there are none,
        why those at the first places are refused."""
        first: Refused | None = None
        for places in self._places[image_id]:
            found = _stored(places, settings, fetched)
            if not isinstance(found, Refused):
                if first is not None:
                    logger.info("%s: taken from another place, the first is refused (%s).", image_id, first)
                return found
            first = first or found
        assert first is not None  # every set has places
        return first

    def as_released(
        self, image_id: str, settings: ImageSettings, fetched: FetchedBytes | None
    ) -> list[dict[str, Any]]:
        """The images of a set at its first places, with black pictures in the places of those that are refused."""
        places = self._places[image_id][0]
        found = (check_place(place, settings, fetched=fetched) for place in places)
        return [
            _record(place, black_picture() if isinstance(image, Refused) else image)
            for place, image in zip(places, found, strict=True)
        ]


def _stored(
    places: Sequence[Place], settings: ImageSettings, fetched: FetchedBytes | None
) -> list[dict[str, Any]] | Refused:
    images = []
    for place in places:
        found = check_place(place, settings, fetched=fetched)
        if isinstance(found, Refused):
            return found
        images.append(_record(place, found))
    return images


def _record(place: Place, image: CheckedImage) -> dict[str, Any]:
    """An image as a row holds it, called by the last part of its place with the ending of what it is now."""
    stem = place_name(place).rpartition(".")[0]
    ending = {"JPEG": "jpg"}.get(image.format, image.format.lower())
    return {"bytes": image.bytes, "path": f"{stem or image.sha256[:16]}.{ending}"}
