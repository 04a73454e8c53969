"""What the functions behind a recipe's `data.sources` share: types of parameters, and the report at the end."""

import functools
import logging
from collections.abc import Callable, Iterator
from typing import Concatenate, NewType, ParamSpec

from data_mblip import Example
from data_mblip.left_out import LeftOut

logger = logging.getLogger(__name__)

LanguageCode = NewType("LanguageCode", str)  # a code of languages.tsv; reading the recipe checks it
ENGLISH = LanguageCode("en")

# Where images are: a folder, a URL, or an archive such as zip://::/data/photos.zip (sources/image_places.py in
# data_mblip). No `Path`, which would make https:/ of https://.
Images = str

P = ParamSpec("P")


def reports_left_out(
    source: Callable[Concatenate[int, LeftOut, P], Iterator[Example]],
) -> Callable[Concatenate[int, P], Iterator[Example]]:
    """A source that logs, when it ends or is read no further, a table of what it has left out."""

    @functools.wraps(source)
    def reporting(seed: int, *args: P.args, **kwargs: P.kwargs) -> Iterator[Example]:
        left_out = LeftOut()
        try:
            yield from source(seed, left_out, *args, **kwargs)
        finally:
            if left_out.counts:
                logger.info("Left out of the source %s:\n%s", source.__name__, left_out.table())

    return reporting
