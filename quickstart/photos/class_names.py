"""ImageNet's names in the 93 languages of Babel-ImageNet, and the prompts that ask for them."""

import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from mblip.data.languages import Language, add_languages, get_language
from mblip.data.prompts import TASKS
from mblip.data.sources.babel_imagenet_files import read_labels

# The ten languages of Babel-ImageNet that are not among mBLIP's 96; the recipes add them as well.
ADDED_LANGUAGES = (
    Language("as", "Assamese", "Beng"),
    Language("br", "Breton", "Latn"),
    Language("bs", "Bosnian", "Latn"),
    Language("fy", "Western Frisian", "Latn"),
    Language("hr", "Croatian", "Latn"),
    Language("la", "Latin", "Latn"),
    Language("om", "Oromo", "Latn"),
    Language("or", "Odia", "Orya"),
    Language("sa", "Sanskrit", "Deva"),
    Language("ug", "Uyghur", "Arab"),
)
Names = Mapping[int, Mapping[str, str]]  # class index -> language -> name


def read_names(label_file: Path) -> dict[int, dict[str, str]]:
    """The name of each of ImageNet's 1,000 classes in each language that has one."""
    add_languages(ADDED_LANGUAGES)
    names: dict[int, dict[str, str]] = {}
    for language, labels in read_labels(label_file)[0].items():
        for class_index, label in labels.items():
            names.setdefault(class_index, {})[language] = label
    return names


def photo_classes(archive: Path, classes_file: Path) -> list[int]:
    """The class indices of Tiny-ImageNet's 200 classes."""
    classes = json.loads(classes_file.read_text(encoding="utf-8"))
    with zipfile.ZipFile(archive) as published:
        return [classes[synset] for synset in published.read("tiny-imagenet-200/wnids.txt").decode().split()]


def prompts(language: str) -> Sequence[str]:
    """The prompts that ask for a name in `language`: those that the recipe's source writes below a photo."""
    return [template.text.format(language=get_language(language).name) for template in TASKS["image_naming"].templates]
