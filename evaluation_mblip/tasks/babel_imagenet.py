"""ImageNet photos to name in many languages, on names that training has shown and on names it has not.

An answer is right only if it is the label of Babel-ImageNet, letter by letter: a synonym counts as wrong, so the
scores are a lower bound. The split is that of `data_mblip.sources.babel_imagenet`; give it the hold-out that training
was given.
"""

from collections.abc import Sequence

from data_mblip import Example, apply_prompt
from data_mblip.sources.babel_imagenet import BabelImageNet, HoldOut, Split

from ..metrics.exact_match import is_exact_match
from ..shuffled_images import with_shuffled_images
from ..task import EvaluationExample, EvaluationTask
from ..wordings import WordingChoice, fixed_prompt

NAME = "babel_imagenet"
MAX_NEW_TOKENS = 32


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
    return EvaluationTask(NAME, examples, is_exact_match, "exact match of the label", MAX_NEW_TOKENS)


def _prompt(example: Example, wording: WordingChoice, wording_seed: int | None) -> str:
    if wording_seed is None:
        return fixed_prompt(example.task, example.language, wording)
    return apply_prompt(example, seed=wording_seed).prompt
