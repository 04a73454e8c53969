"""What the functions behind a recipe's `data.sources` share: types of parameters, and captions read twice."""

from collections.abc import Callable, Iterator
from typing import NewType

from ..example import Example
from ..left_out import LeftOut

LanguageCode = NewType("LanguageCode", str)  # a code of languages.tsv; reading the recipe checks it
ENGLISH = LanguageCode("en")

# Where images are: a folder, a URL, or an archive such as zip://::/data/photos.zip (mblip/data/images/places.py).
# No `Path`, which would make https:/ of https://.
Images = str


def counted_once(read: Callable[[LeftOut], Iterator[Example]], left_out: LeftOut) -> Callable[[], Iterator[Example]]:
    """`read` for several passes: the first one, which must go to the end, counts what is left out."""
    passes = iter([left_out])
    return lambda: read(next(passes, LeftOut()))
