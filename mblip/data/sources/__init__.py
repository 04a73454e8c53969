"""The built-in sources, with the publishers of their data. One file each, or one for corpora of the same layout."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

# Where the functions are, as text: sources of the mix import its filters, which training does not need.
SOURCES: Mapping[str, str] = {
    "babel_imagenet": "mblip.data.sources.babel_imagenet:babel_imagenet",
    # your own data
    "own_folder": "mblip.data.sources.own:own_folder",
    "own_dataset": "mblip.data.sources.own:own_dataset",
    # training data of benchmarks
    "gqa": "mblip.data.sources.gqa:gqa",
    "xgqa": "mblip.data.sources.gqa:xgqa",
    "snli_ve": "mblip.data.sources.xvnli:snli_ve",
    "xvnli": "mblip.data.sources.xvnli:xvnli",
    "nlvr2": "mblip.data.sources.nlvr2:nlvr2",
    "marvl": "mblip.data.sources.nlvr2:marvl",
    "flickr30k": "mblip.data.sources.flickr30k:flickr30k",
    "xflickrco": "mblip.data.sources.flickr30k:xflickrco",
    # single sources of the mix
    "capfilt": "mblip.mix.sources.capfilt:capfilt",
    "coco_captions": "mblip.data.sources.coco_captions:coco_captions",
    "karpathy_captions": "mblip.data.sources.coco_captions:karpathy_captions",
    "vqav2": "mblip.data.sources.vqav2:vqav2",
    "aokvqa": "mblip.data.sources.aokvqa:aokvqa",
    "llava_conversations": "mblip.data.sources.llava:llava_conversations",
    "llava_details": "mblip.data.sources.llava:llava_details",
    "matching": "mblip.mix.sources.matching:matching",
    "released_json": "mblip.data.sources.released_json:released_json",
}

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Origin:
    """The origin of a published source: its content, its publisher, and the publisher's licence for the texts.

    Photos have their own licences.
    """

    what: str
    publisher: str
    license: str


NOT_STATED = Origin("own data", "not stated", "not stated")


def published(what: str, publisher: str, license: str) -> Callable[[F], F]:
    """State what dataset cards say about a source's data. Without it, the card says "not stated".

    @published("questions about photos of Visual Genome", "Adapter-Hub/xGQA", "CC BY 4.0")
    def xgqa(seed: int, *, path: Path) -> Iterator[Example]: ...
    """

    def state(function: F) -> F:
        function.origin = Origin(what, publisher, license)  # type: ignore[attr-defined]
        return function

    return state
