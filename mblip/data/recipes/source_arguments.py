"""What the functions behind a recipe's `data.sources` share: types of parameters, and the report at the end."""

import functools
import logging
from collections.abc import Callable, Iterator
from typing import Any, Concatenate, NewType, ParamSpec

from ..example import Example
from ..left_out import LeftOut

logger = logging.getLogger(__name__)

LanguageCode = NewType("LanguageCode", str)  # a code of languages.tsv; reading the recipe checks it
ENGLISH = LanguageCode("en")

# Where images are: a folder, a URL, or an archive such as zip://::/data/photos.zip (mblip/data/images/places.py).
# No `Path`, which would make https:/ of https://.
Images = str

# A source within a source's arguments, as `{source: NAME, ...arguments}`; reading the recipe checks it like any other.
NestedSource = NewType("NestedSource", dict[str, Any])

P = ParamSpec("P")


def reports_left_out(
    source: Callable[Concatenate[int, LeftOut, P], Iterator[Example]],
) -> Callable[..., Iterator[Example]]:
    """A source that logs, when it ends or is read no further, a table of what it has left out.

    A caller who passes a `left_out` of its own is not told.
    """

    @functools.wraps(source)
    def reporting(seed: int, left_out: LeftOut | None = None, *args: P.args, **kwargs: P.kwargs) -> Iterator[Example]:
        counted = LeftOut() if left_out is None else left_out
        try:
            yield from source(seed, counted, *args, **kwargs)
        finally:
            if left_out is None and counted.counts:
                logger.info("Left out of the source %s:\n%s", source.__name__, counted.table())

    return reporting


def counted_once(read: Callable[[LeftOut], Iterator[Example]], left_out: LeftOut) -> Callable[[], Iterator[Example]]:
    """`read` for several passes: the first one, which must go to the end, counts what is left out."""
    passes = iter([left_out])
    return lambda: read(next(passes, LeftOut()))
