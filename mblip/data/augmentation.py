"""Random resized crops and flips of training images, with Pillow alone.

A crop is only cut out here: the processor resizes whatever it gets to the model's square, so cutting and resizing
together are torchvision's `RandomResizedCrop` with one interpolation. In a mirrored image "a cat to the left of a
dog" is wrong, so an image is flipped only where no text about it names a side. Every draw is keyed, by (seed, epoch,
image_id) in training, so that a resumed run sees the same images.

`side_words.tsv` lists, for 95 of the 96 languages, the words for left and right, for turning with the clock or against
it, for mirrors and for east and west, and, in English, in which questions of all sources are asked, also the words of
questions that have an image's writing or clock read. Lists are generous: a word that only sometimes names a side
("rights", Vietnamese "trái", which is also fruit) costs a flip now and then, a word that is missing teaches something
false. They are our own, by hand.

A word stands for itself; `word*` also for longer words that begin so, `*word*` for all that hold it, which languages
need that put prefixes to their words. Scripts that do not part words by spaces are searched for the letters alone.
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

UNSPACED_SCRIPTS = ("Hans", "Jpan", "Khmr", "Laoo", "Mymr", "Thai")
POINTED_SCRIPTS = ("Arab", "Hebr")  # vowel points, which may be written or not, are taken off
NUM_CROP_ATTEMPTS = 10  # as torchvision has it


@dataclass(frozen=True)
class Augmentation:
    """What may happen to a training image.

    The defaults are mBLIP's: a crop of 50 to 100 % of the area (code of gregor-ge/mBLIP, commit 0380e68) with
    torchvision's default ratios of width to height, and a flip of every other image. `flip_tasks` are the tasks whose
    texts cannot say left or right; under other tasks an image is flipped only where their texts are known to name no
    side. `as_released` flips whatever the texts say, as the original did.
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
    """Whether the images of a row may be mirrored under all its prompts: those of `flip_tasks`, and those that name no
    side, neither in the language of the example nor in English, the language of most templates.

    Of a translation the English text it was made from, if the row tells it, must name none either: where a machine
    took "the right image" for the correct one, the translation names no side any more, but is still about one.
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
    """False also where there is no list of words for the language."""
    sources = [text for key, text in provenance.items() if key.endswith(".source_text")]
    if any(names_a_side(text, ENGLISH) for text in (prompt, target, *sources)):
        return False
    return language == ENGLISH or all(names_a_side(text, language) is False for text in (prompt, target))


def augment(
    image: PILImage.Image, augmentation: Augmentation, draw: random.Random, *, may_flip: bool
) -> PILImage.Image:
    """A randomly cut and, where it may be, perhaps mirrored copy of `image`, upright as its EXIF orientation says."""
    upright = ImageOps.exif_transpose(image)
    cut = upright.crop(crop_box(upright.width, upright.height, augmentation, draw))
    is_flipped = draw.random() < augmentation.flip_probability  # drawn always, so that texts do not move later draws
    return ImageOps.mirror(cut) if is_flipped and may_flip else cut


def crop_box(width: int, height: int, augmentation: Augmentation, draw: random.Random) -> tuple[int, int, int, int]:
    """The box (left, top, right, bottom) of a random crop.

    Follows torchvision's `RandomResizedCrop.get_params`: area uniform in `crop_scale`, logarithm of the ratio uniform
    in `crop_ratio`, ten attempts to fit, else the largest centred crop whose ratio is allowed.
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
    """The list: language -> kind ("left", "right", "turn", "mirror", "compass", "reading") -> words."""
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
    """What a word of the list matches in a text made plain."""
    letters = _plain(word.strip("*"), script).strip()
    if script in UNSPACED_SCRIPTS:
        return re.escape(letters)
    start, end = "" if word.startswith("*") else " ", "" if word.endswith("*") else " "
    return re.escape(f"{start}{letters}{end}")


def _plain(text: str, script: str) -> str:
    """The text in one spelling: composed, lower case, its words parted by single spaces, one at either end."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    if script in POINTED_SCRIPTS:
        folded = "".join(letter for letter in folded if unicodedata.category(letter) != "Mn")
    parted = "".join(
        letter if letter.isalnum() or unicodedata.category(letter).startswith("M") else " " for letter in folded
    )
    return f" {' '.join(parted.split())} "
