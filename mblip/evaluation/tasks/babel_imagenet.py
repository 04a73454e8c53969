"""Babel-ImageNet: naming ImageNet photos in many languages, with names from training and held-out names.

An answer is right only if it equals the label of Babel-ImageNet exactly. The figure `any_name` takes other names as
well: in any case and punctuation, without an explanation in brackets, and in English WordNet's synonyms, if the folder
of photos or its parent has a `words.txt`, as Tiny-ImageNet's. Babel-ImageNet has no synonyms in other languages.
`mblip.data.sources.babel_imagenet` makes the splits; use the same held-out settings as in training.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from mblip.data import Example, apply_prompt
from mblip.data.languages import ENGLISH
from mblip.data.normal_text import normal_text
from mblip.data.recipes.ranges import Count, Seed, Share
from mblip.data.sources.babel_imagenet import SOURCE, BabelImageNet, HoldOut, Split
from mblip.data.sources.babel_imagenet_files import read_synonyms

from ..answer_scoring import ExactMatch
from ..benchmark import with_shuffled_images
from ..generation_settings import GenerationSettings
from ..languages import check_languages
from ..metrics.exact_match import is_exact_match
from ..metrics.figure_sums import ratio
from ..protocol import OWN, Setup, TemplateChoice, fixed_prompt
from ..read_files import ReadFiles
from ..task import Answering, EvaluationExample, EvaluationTask, Origin, RankBy, Scored

NAME = "babel_imagenet"
GENERATION = GenerationSettings(max_new_tokens=32)
ORIGIN = Origin(
    "https://github.com/gregor-ge/Babel-ImageNet",
    "labels: BabelNet, non-commercial; photos: ImageNet's terms",
    layout="data/babel_imagenet-298.json, and a folder of ImageNet's photos",
)


def babel_imagenet(
    setup: Setup,
    *,
    photos: Path,
    labels: Path,
    languages: tuple[str, ...] | None = None,
    splits: tuple[Split, ...] = ("train", "held_out"),
    held_out_share: Share = 0.1,
    held_out_by_language: bool = True,
    held_out_languages: tuple[str, ...] = (),
    held_out_seed: Seed = 0,
    rounds: Count | None = None,
    template: TemplateChoice = "first",
    template_seed: Seed | None = None,
    shuffled: bool = False,
    answering: Answering = "generate",
    rank_by: RankBy = "sum",
) -> EvaluationTask:
    """Every photo in every language that has a name for it. The splits are the conditions. It has its own protocol.

    Args:
        photos: the folder of photos.
        labels: the label file.
        languages: None: all languages with labels.
        held_out_share, held_out_by_language, held_out_languages, held_out_seed: as in training.
        rounds: the number of photos of each class in each language, drawn by `held_out_seed`; None: all.
        template_seed: the seed of a training run. Every example is then asked with the template that this run drew for
            it, instead of `template`.
        shuffled: also ask the first split with shuffled photos.
        answering: with "rank" and "constrained" the candidates are the names of all photos' classes in the language.

    Raises:
        ValueError: no photo has a name in any of the splits.
    """
    check_languages(languages or ())
    read = BabelImageNet.read(photos, labels, languages=languages)
    hold_out = HoldOut(held_out_share, held_out_by_language, held_out_seed, frozenset(held_out_languages))
    shown = {photo.class_index for photo in read.photos}
    candidates = {
        language: tuple(sorted({name for index, name in names.items() if index in shown}))
        for language, names in read.labels.items()
    }
    synonyms = read_synonyms(photos)
    english = {f"{SOURCE}/{photo.stem}": synonyms.get(photo.class_index, ()) for photo in read.photos}
    examples = [
        EvaluationExample(
            images=example.images,
            image_id=example.image_id,
            prompt=_prompt(example, template, template_seed),
            references=(example.target, *(english[example.image_id] if example.language == ENGLISH else ())),
            language=example.language,
            condition=split,
            id=example.id,
            candidates=() if answering == "generate" else candidates[example.language],
            content_free=None if answering == "generate" else _prompt(example, template, template_seed),
        )
        for split in splits
        for example in read.examples(
            split, hold_out=hold_out, tasks=("image_naming",), rounds=rounds, seed=held_out_seed
        )
    ]
    if not examples:
        raise ValueError(
            f"Found no names of {len(read.photos)} photos in the splits {list(splits)}, expected at least one. "
            "Raise `held_out_share`, or evaluate the train split."
        )
    if shuffled:
        examples += with_shuffled_images([e for e in examples if e.condition == splits[0]], seed=hold_out.seed)
    files = ReadFiles()
    files.add(labels, len({example.language for example in examples}))
    return EvaluationTask(
        NAME,
        examples,
        NameMatch("exact match of the label"),
        GENERATION,
        OWN,
        answering=answering,
        rank_by=rank_by,
        origin=ORIGIN,
        files=files.files,
        changes=("template held_out",) if template == "held_out" else (),
    )


@dataclass(frozen=True)
class NameMatch(ExactMatch):
    """The share of answers that equal the label, the first reference, and `any_name`; see the top of this file."""

    others: ClassVar[Mapping[str, str]] = {"any_name": "the label in any case and without brackets, or a synonym"}

    def score(self, examples: Sequence[EvaluationExample], outputs: Sequence[str]) -> Scored:
        pairs = list(zip(examples, outputs, strict=True))
        exact = [is_exact_match(output, example.references[:1]) for example, output in pairs]
        named = [_comparable(output) in map(_comparable, example.references) for example, output in pairs]
        return Scored.of_sums(self.main, {self.main: ratio(exact), "any_name": ratio(named)})


def _comparable(name: str) -> str:
    return normal_text(re.sub(r"\s*[(（].*?[)）]", "", name) or name)


def _prompt(example: Example, template: TemplateChoice, template_seed: Seed | None) -> str:
    if template_seed is None:
        return fixed_prompt(example.task, example.language, template)
    return apply_prompt(example, seed=template_seed).prompt
