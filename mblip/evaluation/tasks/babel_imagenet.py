"""ImageNet photos to name in many languages, on names that training has shown and on names it has not.

An answer is right only if it is the label of Babel-ImageNet, letter by letter: a synonym counts as wrong, so the
scores are a lower bound. The split is that of `mblip.data.sources.babel_imagenet`; give it the hold-out that training
was given.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mblip.data import Example, apply_prompt
from mblip.data.sources.babel_imagenet import BabelImageNet, HoldOut, Split

from ..generation_settings import GenerationSettings
from ..languages import check_languages
from ..protocol import OWN, Setup
from ..scoring import ExactMatch
from ..shuffled_images import with_shuffled_images
from ..task import EvaluationExample, EvaluationTask, Origin
from ..wordings import WordingChoice, fixed_prompt

NAME = "babel_imagenet"
GENERATION = GenerationSettings(max_new_tokens=32)
ORIGIN = Origin(
    "https://github.com/gregor-ge/Babel-ImageNet", "labels: BabelNet, non-commercial; photos: ImageNet's terms"
)


@dataclass(frozen=True)
class BabelImageNetRecipe:
    """What a recipe says of it. `languages` None takes every one that has labels; the fields of the hold-out are those
    of training, the others the arguments of `babel_imagenet_task`."""

    photos: Path
    labels: Path
    languages: tuple[str, ...] | None = None
    splits: tuple[Split, ...] = ("train", "held_out")
    held_out_share: float = 0.1
    held_out_by_language: bool = True
    held_out_seed: int = 0
    wording: WordingChoice = "first"
    wording_seed: int | None = None
    shuffled: bool = False

    def __post_init__(self) -> None:
        check_languages(self.languages or ())

    def build(self, setup: Setup) -> EvaluationTask:
        """The task, with photos and labels read. It has a protocol of its own."""
        hold_out = HoldOut(self.held_out_share, self.held_out_by_language, self.held_out_seed)
        photos = BabelImageNet.read(self.photos, self.labels, languages=self.languages)
        return babel_imagenet_task(
            photos,
            hold_out=hold_out,
            splits=self.splits,
            wording=self.wording,
            wording_seed=self.wording_seed,
            shuffled=self.shuffled,
        )


def babel_imagenet_task(
    photos: BabelImageNet,
    *,
    hold_out: HoldOut,
    splits: Sequence[Split] = ("train", "held_out"),
    wording: WordingChoice = "first",
    wording_seed: int | None = None,
    shuffled: bool = False,
) -> EvaluationTask:
    """Every photo in every language that has a name for it; the conditions are the splits.

    Args:
        wording_seed: that of a training; every example is then asked in the wording that this training drew for it,
            in place of `wording`.
        shuffled: ask the names of the first split once more, with each other's photos.

    Raises:
        ValueError: no photo has a name in any of the splits.
    """
    examples = [
        EvaluationExample(
            images=example.images,
            image_id=example.image_id,
            prompt=_prompt(example, wording, wording_seed),
            references=(example.target,),
            language=example.language,
            condition=split,
            id=example.id,
        )
        for split in splits
        for example in photos.examples(split, hold_out=hold_out, tasks=("image_naming",))
    ]
    if not examples:
        raise ValueError(
            f"Found no names of {len(photos.photos)} photos in the splits {list(splits)}, expected some. "
            "Raise the held-out share, or evaluate the train split."
        )
    if shuffled:
        examples += with_shuffled_images([e for e in examples if e.condition == splits[0]], seed=hold_out.seed)
    return EvaluationTask(NAME, examples, ExactMatch("exact match of the label"), GENERATION, OWN, origin=ORIGIN)


def _prompt(example: Example, wording: WordingChoice, wording_seed: int | None) -> str:
    if wording_seed is None:
        return fixed_prompt(example.task, example.language, wording)
    return apply_prompt(example, seed=wording_seed).prompt
