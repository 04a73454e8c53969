"""Random resized crops and flips of training images, with Pillow alone.

A crop is only cut out here; the processor then resizes it to the model's square. The two steps together are
torchvision's `RandomResizedCrop` with one interpolation. In a mirrored image "a cat to the left of a dog" is wrong, so
an image is flipped only if no text about it names a side. Every draw has a key, in training (seed, epoch, image_id),
so a resumed run sees the same images.

`side_words.tsv` covers 95 of the 96 languages. It lists words for left and right, clockwise and anticlockwise turns,
mirrors, and east and west. All sources ask their questions in English, so the English list also has the words of
questions about text or clocks in an image. The lists are generous. A word that only sometimes names a side ("rights",
or Vietnamese "trái", which is also fruit) costs a flip now and then; a missing word teaches something false. We wrote
the lists by hand.

`word` matches that word alone. `word*` also matches longer words that begin with it, and `*word*` matches every word
that contains it, for languages with prefixes. In scripts without spaces between words, the letters are searched for
anywhere.
"""

import csv
import json
import math
import random
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from PIL import Image as PILImage
from PIL import ImageOps

from .example import PROVENANCE
from .languages import ENGLISH, LANGUAGES, get_language
from .stable_random import stable_random

UNSPACED_SCRIPTS = ("Hans", "Jpan", "Khmr", "Laoo", "Mymr", "Thai")
POINTED_SCRIPTS = ("Arab", "Hebr")  # vowel points are optional in writing, so we remove them
NUM_CROP_ATTEMPTS = 10  # as in torchvision


@dataclass(frozen=True)
class Augmentation:
    """How training images are augmented.

    The defaults are mBLIP's: a crop of 50 to 100 % of the area (code of gregor-ge/mBLIP, commit 0380e68) with
    torchvision's default ratios of width to height, and a flip of every other image. The texts of `flip_tasks` cannot
    name left or right. Under other tasks, an image is flipped only if its texts are known to name no side.
    `as_released` flips regardless of the texts, as the original did.
    """

    crop_scale: tuple[float, float] = (0.5, 1.0)
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip_probability: float = 0.5
    flip_tasks: frozenset[str] = frozenset({"image_naming", "image_deciding"})
    as_released: bool = False

    def __post_init__(self) -> None:
        low, high = self.crop_scale
        if not 0 < low <= high <= 1:
            raise ValueError(
                f"Found crop_scale {self.crop_scale}, expected two shares of the area with 0 < low <= high <= 1."
            )
        if not 0 < self.crop_ratio[0] <= self.crop_ratio[1]:
            raise ValueError(
                f"Found crop_ratio {self.crop_ratio}, expected two positive ratios of width to height, low and high."
            )
        if not 0 <= self.flip_probability <= 1:
            raise ValueError(f"Found flip_probability {self.flip_probability}, expected a number from 0 to 1.")


def is_flip_safe(row: Mapping[str, Any], augmentation: Augmentation) -> bool:
    """Whether the images of a row may be mirrored under all its prompts.

    They may under prompts of `flip_tasks`, and under prompts that name no side. A prompt is checked in the example's
    language and in English, the language of most templates. For a translation, the English source text is checked too,
    if the row holds it. A machine may translate "the right image" as "the correct image": the translation then names
    no side but is still about one.
    """
    if augmentation.as_released:
        return True
    provenances = row.get(PROVENANCE) or ["{}"] * len(row["tasks"])
    columns = (row[column] for column in ("tasks", "prompts", "targets", "languages"))
    return all(
        task in augmentation.flip_tasks or _is_sideless(prompt, target, language, json.loads(provenance))
        for task, prompt, target, language, provenance in zip(*columns, provenances, strict=True)
    )


def _is_sideless(prompt: str, target: str, language: str, provenance: Mapping[str, str]) -> bool:
    """Whether neither text names a side. False if the language has no list of words."""
    sources = [text for key, text in provenance.items() if key.endswith(".source_text")]
    if any(names_a_side(text, ENGLISH) for text in (prompt, target, *sources)):
        return False
    return language == ENGLISH or all(names_a_side(text, language) is False for text in (prompt, target))


def augment(
    image: PILImage.Image, augmentation: Augmentation, draw: random.Random, *, may_flip: bool
) -> PILImage.Image:
    """A randomly cropped and perhaps mirrored copy of `image`, upright as its EXIF orientation says."""
    upright = ImageOps.exif_transpose(image)
    cut = upright.crop(crop_box(upright.width, upright.height, augmentation, draw))
    is_flipped = draw.random() < augmentation.flip_probability  # always drawn, so that texts do not shift later draws
    return ImageOps.mirror(cut) if is_flipped and may_flip else cut


def augment_in_epoch(
    image: PILImage.Image,
    row: Mapping[str, Any],
    number: int,
    augmentation: Augmentation,
    *,
    seed: int,
    epoch: int,
    may_flip: bool,
) -> PILImage.Image:
    """Image `number` of a row as an epoch shows it. `may_flip`: `is_flip_safe` of the row."""
    draw = stable_random(seed, epoch, row["image_id"], number)
    return augment(image, augmentation, draw, may_flip=may_flip)


def crop_box(width: int, height: int, augmentation: Augmentation, draw: random.Random) -> tuple[int, int, int, int]:
    """The box (left, top, right, bottom) of a random crop, in pixels.

    Follows torchvision's `RandomResizedCrop.get_params`. The area is uniform in `crop_scale`, the logarithm of the
    ratio uniform in `crop_ratio`. If ten attempts do not fit, it takes the largest centred crop with an allowed ratio.
    """
    log_ratios = [math.log(ratio) for ratio in augmentation.crop_ratio]
    for _ in range(NUM_CROP_ATTEMPTS):
        area = width * height * draw.uniform(*augmentation.crop_scale)
        ratio = math.exp(draw.uniform(*log_ratios))
        crop_width, crop_height = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < crop_width <= width and 0 < crop_height <= height:
            left, top = draw.randint(0, width - crop_width), draw.randint(0, height - crop_height)
            return left, top, left + crop_width, top + crop_height
    return _centred_box(width, height, augmentation.crop_ratio)


def _centred_box(width: int, height: int, crop_ratio: tuple[float, float]) -> tuple[int, int, int, int]:
    ratio = min(max(width / height, crop_ratio[0]), crop_ratio[1])
    crop_width, crop_height = min(width, round(height * ratio)), min(height, round(width / ratio))
    left, top = (width - crop_width) // 2, (height - crop_height) // 2
    return left, top, left + crop_width, top + crop_height


def names_a_side(text: str, language: str) -> bool | None:
    """Whether a text in `language` names a side; None if there is no list for the language."""
    pattern = _patterns().get(language)
    return None if pattern is None else bool(pattern.search(_plain(text, LANGUAGES[language].script)))


def read_side_words() -> Mapping[str, Mapping[str, tuple[str, ...]]]:
    """The word lists: language -> kind ("left", "right", "turn", "mirror", "compass", "reading") -> words."""
    table = files("mblip.data").joinpath("side_words.tsv").read_text(encoding="utf-8")
    words: dict[str, dict[str, tuple[str, ...]]] = {}
    for row in csv.DictReader(table.splitlines(), delimiter="\t"):
        words.setdefault(get_language(row["language"]).code, {})[row["kind"]] = tuple(row["words"].split(", "))
    return words


@cache
def _patterns() -> Mapping[str, re.Pattern[str]]:
    patterns = {}
    for code, kinds in read_side_words().items():
        script = LANGUAGES[code].script
        words = [_word_pattern(word, script) for words in kinds.values() for word in words]
        patterns[code] = re.compile("|".join(words))
    return patterns


def _word_pattern(word: str, script: str) -> str:
    """The pattern of a listed word in a text from `_plain`."""
    letters = _plain(word.strip("*"), script).strip()
    if script in UNSPACED_SCRIPTS:
        return re.escape(letters)
    start, end = "" if word.startswith("*") else " ", "" if word.endswith("*") else " "
    return re.escape(f"{start}{letters}{end}")


def _plain(text: str, script: str) -> str:
    """The text in a uniform spelling: composed, lower case, with one space before, between and after words."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    if script in POINTED_SCRIPTS:
        folded = "".join(letter for letter in folded if unicodedata.category(letter) != "Mn")
    parted = "".join(
        letter if letter.isalnum() or unicodedata.category(letter).startswith("M") else " " for letter in folded
    )
    return f" {' '.join(parted.split())} "
