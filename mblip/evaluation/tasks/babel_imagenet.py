"""ImageNet photos to name in many languages, on names that training has shown and on names it has not.

An answer is right only if it is the label of Babel-ImageNet, letter by letter: a synonym counts as wrong, so the
scores are a lower bound. The split is that of `mblip.data.sources.babel_imagenet`; give it the hold-out that training
was given.
"""

from pathlib import Path

from mblip.data import Example, apply_prompt
from mblip.data.sources.babel_imagenet import BabelImageNet, HoldOut, Split

from ..answer_scoring import ExactMatch
from ..benchmark import with_shuffled_images
from ..generation_settings import GenerationSettings
from ..languages import check_languages
from ..protocol import OWN, Setup, TemplateChoice, fixed_prompt
from ..task import EvaluationExample, EvaluationTask, Origin

NAME = "babel_imagenet"
GENERATION = GenerationSettings(max_new_tokens=32)
ORIGIN = Origin(
    "https://github.com/gregor-ge/Babel-ImageNet", "labels: BabelNet, non-commercial; photos: ImageNet's terms"
)


def babel_imagenet(
    setup: Setup,
    *,
    photos: Path,
    labels: Path,
    languages: tuple[str, ...] | None = None,
    splits: tuple[Split, ...] = ("train", "held_out"),
    held_out_share: float = 0.1,
    held_out_by_language: bool = True,
    held_out_seed: int = 0,
    template: TemplateChoice = "first",
    template_seed: int | None = None,
    shuffled: bool = False,
) -> EvaluationTask:
    """Every photo in every language that has a name for it; the conditions are the splits. It has a protocol of its
    own.

    Args:
        photos: the folder of photos.
        labels: the label file.
        languages: None takes every one that has labels.
        held_out_share, held_out_by_language, held_out_seed: those of training.
        template_seed: that of a training; every example is then asked in the template that this training drew for it,
            in place of `template`.
        shuffled: ask the names of the first split once more, with each other's photos.

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
            f"Found no names of {len(read.photos)} photos in the splits {list(splits)}, expected some. "
            "Raise the held-out share, or evaluate the train split."
        )
    if shuffled:
        examples += with_shuffled_images([e for e in examples if e.condition == splits[0]], seed=hold_out.seed)
    return EvaluationTask(NAME, examples, ExactMatch("exact match of the label"), GENERATION, OWN, origin=ORIGIN)


def _prompt(example: Example, template: TemplateChoice, template_seed: int | None) -> str:
    if template_seed is None:
        return fixed_prompt(example.task, example.language, template)
    return apply_prompt(example, seed=template_seed).prompt
