"""Babel-ImageNet: naming ImageNet photos in many languages, with names from training and held-out names.

An answer is right only if it equals the label of Babel-ImageNet exactly. Synonyms count as wrong, so the scores are a
lower bound. `mblip.data.sources.babel_imagenet` makes the split; use the same held-out settings as in training.
"""

from pathlib import Path

from mblip.data import Example, apply_prompt
from mblip.data.recipes.ranges import Seed, Share
from mblip.data.sources.babel_imagenet import BabelImageNet, HoldOut, Split

from ..answer_scoring import ExactMatch
from ..benchmark import with_shuffled_images
from ..generation_settings import GenerationSettings
from ..languages import check_languages
from ..protocol import OWN, Setup, TemplateChoice, fixed_prompt
from ..read_files import ReadFiles
from ..task import EvaluationExample, EvaluationTask, Origin

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
    held_out_seed: Seed = 0,
    template: TemplateChoice = "first",
    template_seed: Seed | None = None,
    shuffled: bool = False,
) -> EvaluationTask:
    """Every photo in every language that has a name for it. The splits are the conditions. It has its own protocol.

    Args:
        photos: the folder of photos.
        labels: the label file.
        languages: None: all languages with labels.
        held_out_share, held_out_by_language, held_out_seed: as in training.
        template_seed: the seed of a training run. Every example is then asked with the template that this run drew for
            it, instead of `template`.
        shuffled: also ask the first split with shuffled photos.

    Raises:
        ValueError: no photo has a name in any of the splits.
    """
    check_languages(languages or ())
    read = BabelImageNet.read(photos, labels, languages=languages)
    hold_out = HoldOut(held_out_share, held_out_by_language, held_out_seed)
    examples = [
        EvaluationExample(
            images=example.images,
            image_id=example.image_id,
            prompt=_prompt(example, template, template_seed),
            references=(example.target,),
            language=example.language,
            condition=split,
            id=example.id,
        )
        for split in splits
        for example in read.examples(split, hold_out=hold_out, tasks=("image_naming",))
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
    metric = ExactMatch("exact match of the label")
    changes = ("template held_out",) if template == "held_out" else ()
    return EvaluationTask(NAME, examples, metric, GENERATION, OWN, origin=ORIGIN, files=files.files, changes=changes)


def _prompt(example: Example, template: TemplateChoice, template_seed: Seed | None) -> str:
    if template_seed is None:
        return fixed_prompt(example.task, example.language, template)
    return apply_prompt(example, seed=template_seed).prompt
