"""ImageNet photos with class names in many languages: name what a photo shows, or decide whether a name fits.

Reads a folder of ImageNet photos whose file names start with the synset id (`n02101006_Gordon_setter.JPEG`), and the
label file of Babel-ImageNet (gregor-ge/Babel-ImageNet: language code in upper case -> [class indices, labels]). Labels
are used as published. About one in fifty has an explanation, such as "Geier (Vogel)", and 61 of the 468 Serbian ones
are in Latin script.

In deciding, half of the examples ask about the right name and half about another class's name. Answers are English.
The wrong class must have photos in the same split, so that no name gives its answer away. Its label in that language
must differ from the right one. In the original it may be the same; `as_released` repeats that.
"""

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Literal

from ..example import Example
from ..languages import LanguageCode, get_language
from ..normal_text import normal_text
from ..recipes.ranges import Count, Seed, Share
from ..skipped import SkipReport
from ..stable_random import stable_random
from . import published
from .babel_imagenet_files import Photo, read_labels, read_photos

logger = logging.getLogger(__name__)

SOURCE = "babel_imagenet"
TASKS = ("image_naming", "image_deciding")

Split = Literal["train", "held_out", "held_out_language"]


@published(
    "ImageNet photos with their names",
    "gregor-ge/Babel-ImageNet, ImageNet",
    "labels: BabelNet Non-Commercial License; photos: ImageNet's terms, non-commercial research and education",
)
def babel_imagenet(
    seed: int,
    skipped: SkipReport | None = None,
    *,
    photos: Path,
    labels: Path,
    languages: tuple[LanguageCode, ...] | None = None,
    split: Literal["train", "held_out", "held_out_language"] = "train",
    held_out_share: Share = 0.1,
    held_out_by_language: bool = True,
    held_out_languages: tuple[LanguageCode, ...] = (),
    held_out_seed: Seed = 0,
    tasks: tuple[Literal["image_naming", "image_deciding"], ...] = (
        "image_naming",
        "image_deciding",
    ),
    rounds: Count | None = None,
    as_released: bool = False,
) -> Iterator[Example]:
    """Photos of a folder with their class names from a Babel-ImageNet label file.

    `held_out_seed` is separate from the training seed, so that every run holds out the same names. `rounds` is the
    number of photos of each class in each language. With `as_released`, a wrong name may be the right one.
    """
    hold_out = HoldOut(held_out_share, held_out_by_language, held_out_seed, frozenset(held_out_languages))
    read = BabelImageNet.read(photos, labels, languages=languages)
    return read.examples(
        split,
        hold_out=hold_out,
        tasks=tasks,
        rounds=rounds,
        as_released=as_released,
        seed=seed,
        skipped=skipped,
    )


@dataclass(frozen=True)
class HoldOut:
    """Which pairs of class and language are held out from training.

    Either whole classes in all languages, or (`by_language`) single names; the class is then trained in other
    languages. The split goes by class, not by photo, because all photos of a class share their names. All names in
    `languages` are held out, as a split of their own.
    """

    share: float = 0.1
    by_language: bool = True
    seed: int = 0
    languages: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if not 0 <= self.share < 1:
            raise ValueError(f"Found a held-out share of {self.share}, expected a number from 0 to below 1.")

    def split(self, class_index: int, language: str) -> Split:
        """The split of a class's name in a language."""
        if language in self.languages:
            return "held_out_language"
        draw = stable_random(self.seed, "hold out", class_index, language if self.by_language else "all")
        return "held_out" if draw.random() < self.share else "train"


@dataclass(frozen=True)
class BabelImageNet:
    """Photos and labels.

    `labels` is language -> class index -> label. `skipped` counts the labels of each code in the file that is not one
    of the 96 languages.
    """

    photos: Sequence[Photo]
    labels: Mapping[str, Mapping[int, str]]
    skipped: Mapping[str, int]

    @classmethod
    def read(
        cls, photo_folder: str | Path, label_file: str | Path, *, languages: Collection[str] | None = None
    ) -> "BabelImageNet":
        """Read a folder of photos and a label file.

        Args:
            languages: take only these. None takes every language of the file that is one of the 96.
        Raises:
            ValueError: a photo is missing or its class unknown; a photo's class has no label in any language; the
                label file has a wrong code, lists of unequal length or a class without a label; or a requested
                language has no labels. The message names file and location.
        """
        label_file = Path(label_file)
        photos = read_photos(Path(photo_folder))
        labels, skipped = read_labels(label_file)
        _check_every_photo_has_a_label(photos, labels, label_file)
        if languages is not None:
            codes = [get_language(code).code for code in languages]
            unlabelled = [code for code in codes if code not in labels]
            if unlabelled:
                raise ValueError(f"{label_file} has no labels in {unlabelled}. It has {', '.join(labels)}.")
            labels = {code: labels[code] for code in codes}
        if skipped:
            logger.info("%s: skipped %s, which are not among the 96 languages.", label_file, skipped)
        return cls(photos, labels, skipped)

    def examples(
        self,
        split: Split,
        *,
        hold_out: HoldOut = HoldOut(),
        tasks: Sequence[str] = TASKS,
        rounds: int | None = None,
        as_released: bool = False,
        seed: int = 0,
        skipped: SkipReport | None = None,
    ) -> Iterator[Example]:
        """The examples of a split, photo by photo: one of each task for each language that has a label.

        Skipped and counted are: deciding examples in a language with a single label in the split (there is no wrong
        name to ask about), names of the other split, and labels in languages outside the 96.

        Args:
            rounds: the number of photos per language and class, drawn without repetition by (seed, language, class). A
                class with fewer photos gives all of them. The original's mix has 8. None asks about each photo in each
                language.
            as_released: the wrong name may be the right one, as in the original.
            seed: for the draws. `hold_out.seed` decides the split.
        Raises:
            ValueError: a task is unknown, or `rounds` is below 1.
        """
        unknown = sorted(set(tasks) - set(TASKS))
        if unknown:
            raise ValueError(f"Found the tasks {unknown}, but {SOURCE} gives {', '.join(TASKS)}.")
        if rounds is not None and rounds < 1:
            raise ValueError(f"Found {rounds} rounds, expected 1 or more, or None for all photos.")
        skipped = SkipReport() if skipped is None else skipped
        pools = self._classes_by_language(split, hold_out)
        self._count_labels_skipped(pools, skipped)
        is_decidable = {language: _has_two_labels(classes) for language, classes in pools.items()}
        for photo, languages in self._languages_by_photo(pools, rounds, seed):
            for language in languages:
                if "image_naming" in tasks:
                    yield self._naming(photo, language)
                if "image_deciding" in tasks and is_decidable[language]:
                    yield self._deciding(photo, language, pools[language], as_released, seed)
                elif "image_deciding" in tasks:
                    skipped.add("no wrong name to ask about", f"{SOURCE}/{photo.stem}/{language}/image_deciding")

    def _count_labels_skipped(self, pools: Mapping[str, Mapping[int, str]], skipped: SkipReport) -> None:
        """Count labels of classes with photos outside the split, and all labels in languages outside the 96."""
        for code, count in self.skipped.items():
            skipped.add("label in a language that is none of the 96", f"{SOURCE}/{code}", count)
        with_photo = {photo.class_index for photo in self.photos}
        for language, labels in self.labels.items():
            for index in sorted((with_photo & labels.keys()) - pools[language].keys()):
                skipped.add("name of the other split (held_out_share)", f"{SOURCE}/{index:03d}/{language}")

    def _classes_by_language(self, split: Split, hold_out: HoldOut) -> dict[str, dict[int, str]]:
        """For each language, the labels of the split's classes that have a photo."""
        with_photo = sorted({photo.class_index for photo in self.photos})
        return {
            language: {
                index: labels[index]
                for index in with_photo
                if index in labels and hold_out.split(index, language) == split
            }
            for language, labels in self.labels.items()
        }

    def _languages_by_photo(
        self, pools: Mapping[str, Mapping[int, str]], rounds: int | None, seed: int
    ) -> Iterator[tuple[Photo, Sequence[str]]]:
        """Each photo with the languages to ask about it in."""
        if rounds is None:
            for photo in self.photos:
                yield photo, [language for language, classes in pools.items() if photo.class_index in classes]
            return
        photos_of: dict[int, list[Photo]] = {}
        for photo in self.photos:
            photos_of.setdefault(photo.class_index, []).append(photo)
        languages_of: dict[Path, list[str]] = {}
        for language, classes in pools.items():
            for class_index in classes:
                photos = photos_of[class_index]
                draw = stable_random(seed, "rounds", language, class_index)
                for photo in draw.sample(photos, min(rounds, len(photos))):
                    languages_of.setdefault(photo.path, []).append(language)
        for photo in self.photos:
            yield photo, languages_of.get(photo.path, [])

    def _naming(self, photo: Photo, language: str) -> Example:
        return _example(photo, language, "image_naming", target=self.labels[language][photo.class_index], inputs={})

    def _deciding(
        self, photo: Photo, language: str, classes: Mapping[int, str], as_released: bool, seed: int
    ) -> Example:
        draw = stable_random(seed, "image_deciding", photo.name, language)
        is_right = draw.random() < 0.5
        right = classes[photo.class_index]
        wrong_label = _any_label if as_released else _wrong_label
        label = right if is_right else wrong_label(right, list(classes.values()), draw)
        return _example(photo, language, "image_deciding", target="yes" if is_right else "no", inputs={"label": label})


def _example(photo: Photo, language: str, task: str, *, target: str, inputs: Mapping[str, str]) -> Example:
    return Example(
        images=(photo.path,),
        prompt="",
        target=target,
        language=language,
        task=task,
        source=SOURCE,
        id=f"{photo.stem}/{language}/{task}",
        image_id=f"{SOURCE}/{photo.stem}",
        inputs=inputs,
    )


def _wrong_label(right: str, labels: Sequence[str], draw: Random) -> str:
    """A label that differs from the right one. `_has_two_labels` has checked that there is one."""
    while True:
        label = draw.choice(labels)
        if normal_text(label) != normal_text(right):
            return label


def _any_label(right: str, labels: Sequence[str], draw: Random) -> str:
    """Any label, possibly the right one, as in the original."""
    return draw.choice(labels)


def _has_two_labels(classes: Mapping[int, str]) -> bool:
    return len({normal_text(label) for label in classes.values()}) > 1


def _check_every_photo_has_a_label(
    photos: Sequence[Photo], labels: Mapping[str, Mapping[int, str]], label_file: Path
) -> None:
    labelled = {index for of_language in labels.values() for index in of_language}
    for photo in photos:
        if photo.class_index not in labelled:
            raise ValueError(
                f"{photo.path} shows class {photo.class_index}, which {label_file} gives no label in any language. "
                "Remove the photo, or use its label file."
            )
